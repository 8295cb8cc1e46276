// Draws the charts of a page, moves its sliders, follows light and dark.
// Sets data-charts="drawn:N" (and " failed:M") and data-theme on <html> when done.
const root = document.documentElement;
const theme = JSON.parse(document.getElementById("theme").textContent);
const darkness = matchMedia("(prefers-color-scheme: dark)");
const hosts = [...document.querySelectorAll(".canvas")];
const views = new Map();
const tip = document.getElementById("tip");

function resolved(text, colours) {
  return JSON.parse(text, (key, value) =>
    typeof value === "string" && value.startsWith("theme:")
      ? colours[value.slice(6)] ?? value
      : value);
}

// A chart of several panels: as many columns as there is room for.
function fitted(spec, width) {
  if (!spec.facet) return spec;
  const { cells, narrowest } = spec.usermeta;
  const room = width - 64;
  const most = Math.max(1, Math.min(cells, 3, Math.floor(room / narrowest)));
  const columns = Math.ceil(cells / Math.ceil(cells / most));
  const cell = Math.floor((room - (columns - 1) * spec.spacing) / columns);
  const height = Math.round(Math.min(cell * 0.85, 300));
  return { ...spec, columns, spec: { ...spec.spec, width: cell, height } };
}

function showTip(handler, event, item, value) {
  if (value == null || value === "") { tip.hidden = true; return; }
  tip.replaceChildren();
  if (typeof value === "object") {
    const list = tip.appendChild(document.createElement("dl"));
    for (const [name, content] of Object.entries(value)) {
      list.appendChild(document.createElement("dt")).textContent = name;
      list.appendChild(document.createElement("dd")).textContent = content;
    }
  } else tip.textContent = value;
  tip.hidden = false;
  const x = event.clientX + 14, y = event.clientY + 14;
  tip.style.left = Math.max(4, Math.min(x, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = (y + tip.offsetHeight > innerHeight
    ? event.clientY - tip.offsetHeight - 10 : y) + "px";
}

async function draw(host, mode) {
  const colours = theme[mode];
  const text = document.getElementById(host.dataset.spec).textContent;
  const spec = fitted(resolved(text, colours), host.clientWidth);
  const config = resolved(JSON.stringify(theme.config), colours);
  views.get(host)?.finalize();
  views.delete(host);
  const options = { mode: "vega-lite", config, renderer: "svg", actions: false,
    defaultStyle: false, tooltip: showTip };
  views.set(host, await vegaEmbed(host, spec, options));
}

let turn = 0;
async function drawAll(mode) {
  const mine = ++turn;
  let drawn = 0, failed = 0;
  tip.hidden = true;
  for (const host of hosts) {
    try { await draw(host, mode); drawn++; } catch (error) {
      failed++;
      console.error("chart not drawn:", error);
      host.innerHTML = '<p class="failed">This chart could not be drawn here.</p>';
    }
    if (mine !== turn) return;
  }
  root.dataset.theme = mode;
  root.dataset.charts = `drawn:${drawn}` + (failed ? ` failed:${failed}` : "");
}

// Paper is white: there is no time to draw again, so the colours are exchanged.
function bleach() {
  if (root.dataset.theme !== "dark") return;
  const paper = new Map(Object.keys(theme.dark).map((k) => [theme.dark[k], theme.light[k]]));
  for (const node of document.querySelectorAll(".canvas [fill], .canvas [stroke]"))
    for (const name of ["fill", "stroke"]) {
      const colour = paper.get(node.getAttribute(name));
      if (colour) node.setAttribute(name, colour);
    }
}

const current = () => (darkness.matches ? "dark" : "light");
drawAll(current());
darkness.addEventListener("change", () => drawAll(current()));
addEventListener("beforeprint", bleach);
addEventListener("afterprint", () => drawAll(current()));
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

let lastWidth = innerWidth, waiting;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (innerWidth !== lastWidth) { lastWidth = innerWidth; drawAll(current()); }
  }, 150);
});

for (const button of document.querySelectorAll("button.save")) {
  button.addEventListener("click", async () => {
    const host = button.closest("figure").querySelector(".canvas");
    const link = document.createElement("a");
    link.download = host.dataset.name + ".svg";
    link.href = await views.get(host).view.toImageURL("svg");
    link.click();
  });
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.closest("figure").querySelector("code");
    getSelection().selectAllChildren(code);
    try { await navigator.clipboard.writeText(code.textContent); } catch { return; }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

for (const figure of document.querySelectorAll(".frames")) {
  const slider = figure.querySelector("input");
  const button = figure.querySelector("button");
  const output = figure.querySelector("output");
  const labels = JSON.parse(figure.dataset.labels);
  const maps = [...figure.querySelectorAll(".map")].map((map) => [...map.children]);
  let timer = null;
  const show = () => {
    const frame = Number(slider.value);
    output.textContent = labels[frame];
    slider.setAttribute("aria-valuetext", labels[frame]);
    for (const images of maps)
      images.forEach((image, i) => image.classList.toggle("shown", i === frame));
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    button.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % labels.length;
      show();
    }, 600);
  });
  slider.addEventListener("input", () => { stop(); show(); });
  show();
}

const links = new Map([...document.querySelectorAll("nav.contents a")]
  .map((link) => [link.hash.slice(1), link]));
const seen = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries)
    isIntersecting ? seen.add(target.id) : seen.delete(target.id);
  const here = [...links.keys()].find((id) => seen.has(id));
  if (here) for (const [id, link] of links)
    id === here ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
}, { rootMargin: "-10% 0px -60% 0px" });
for (const section of document.querySelectorAll("main section[id]")) watcher.observe(section);
const contents = document.querySelector("nav.contents details");
const wide = matchMedia("(min-width: 76rem)");
const unfold = () => { if (contents) contents.open = wide.matches; };
unfold();
wide.addEventListener("change", unfold);
