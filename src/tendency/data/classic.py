"""Floor 4: how long a classic NetCDF file (versions 1, 2 and 5) must be.

The NetCDF library reads zeros where such a file is cut short, without a word; only the
header tells. NetCDF-4 files need no help: HDF5 refuses them when they are cut.

Source: the NetCDF classic format specification (Unidata).
"""

import math
from pathlib import Path

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_HEADER = 1 << 24  # no header is longer


class _Reader:
    def __init__(self, content: bytes):
        self.content = content
        self.place = 4
        self.wide = 8 if content[3] == 5 else 4  # of a count
        self.offset = 4 if content[3] == 1 else 8

    def number(self, size: int) -> int:
        chunk = self.content[self.place : self.place + size]
        if len(chunk) < size:
            raise EOFError
        self.place += size
        return int.from_bytes(chunk, "big")

    def count(self) -> int:
        return self.number(self.wide)

    def skip(self, size: int) -> None:
        self.place += -(-size // 4) * 4

    def listed(self) -> int:
        """The length of a list, after its tag."""
        self.number(4)
        return self.count()

    def attributes(self) -> None:
        for _ in range(self.listed()):
            self.skip(self.count())
            kind = self.number(4)
            self.skip(self.count() * _BYTES[kind])


def whole_size(path: Path) -> int | None:
    """The bytes that a classic NetCDF file must have, or `None` if it does not say.

    Raises:
        EOFError: it ends within its header.
    """
    with path.open("rb") as file:
        content = file.read(_HEADER)
    if content[:3] != b"CDF" or len(content) < 8 or content[3] not in (1, 2, 5):
        return None
    reader = _Reader(content)
    records = reader.count()
    if records == 256**reader.wide - 1:  # being streamed
        return None
    dims = []
    for _ in range(reader.listed()):
        reader.skip(reader.count())
        dims.append(reader.count())
    reader.attributes()
    fixed, recorded = [reader.place], []
    for _ in range(reader.listed()):
        reader.skip(reader.count())
        shape = [dims[reader.count()] for _ in range(reader.count())]
        reader.attributes()
        item = _BYTES[reader.number(4)]
        reader.count()  # vsize, which overflows in large files
        begin = reader.number(reader.offset)
        if shape and shape[0] == 0:
            recorded.append((begin, item * math.prod(shape[1:])))
        else:
            fixed.append(begin + item * math.prod(shape))
    fixed.append(reader.place)
    if recorded and records:
        padded = [-(-size // 4) * 4 for _, size in recorded]
        stride = recorded[0][1] if len(recorded) == 1 else sum(padded)
        fixed += [begin + (records - 1) * stride + size for begin, size in recorded]
    return max(fixed)
