"""Decodes the tensors of an adapter's file as docs/format/lorikeet.md says, without our own code."""
import struct
import zlib


class Model:
    def __init__(self):
        self.p, self.c = 32768, 0

    def zero(self):
        return min(max(self.p // 2, 32), 32736)

    def update(self, bit):
        difference = (0 if bit else 65535) - self.p
        step = abs(difference) // (self.c + 2)
        self.p += step if difference > 0 else -step
        self.c = min(self.c + 1, 126)


class Decoder:
    def __init__(self, data):
        self.data, self.at = data, 4
        self.range, self.code = 2**32 - 1, int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def normalise(self):
        while self.range < 2**24:
            self.range <<= 8
            following = self.data[self.at] if self.at < len(self.data) else 0
            self.code = (self.code << 8 | following) & 0xFFFFFFFF
            self.at += 1

    def bit(self, model):
        bound = (self.range >> 15) * model.zero()
        bit = self.code >= bound
        if bit:
            self.code -= bound
            self.range -= bound
        else:
            self.range = bound
        model.update(bit)
        self.normalise()
        return int(bit)

    def plain(self, count):
        self.range >>= count
        value = min(self.code // self.range, 2**count - 1)
        self.code -= value * self.range
        self.normalise()
        return value

    def tree(self, models, depth):
        node = 1
        for _ in range(depth):
            node = 2 * node + self.bit(models[node])
        return node - 2**depth


def models(count):
    return [Model() for _ in range(count)]


def float32(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def rounded(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class Tensors:
    def __init__(self, data):
        self.coder = Decoder(data)
        self.form = models(8), models(8)
        self.width, self.scales = models(8), models(256)
        self.lengths = [models(8) for _ in range(8)]
        self.below = [models(4) for _ in range(8)]
        self.sign = Model()
        self.exponent, self.float_sign, self.nonzero = models(256), Model(), Model()

    def number(self, mantissa_bits):
        exponent = self.coder.tree(self.exponent, 8)
        bits = self.coder.bit(self.float_sign) << 31 | exponent << 23
        if exponent == 0 and not self.coder.bit(self.nonzero):
            return float32(bits)
        place = 23
        while mantissa_bits > 0:
            count = min(12, mantissa_bits)
            place -= count
            mantissa_bits -= count
            bits |= self.coder.plain(count) << place
        return float32(bits)

    def scale(self):
        exponent = self.coder.tree(self.scales, 8)
        return float32(exponent << 23 | self.coder.plain(4) << 19)

    def level(self, m):
        length = self.coder.tree(self.lengths[(m + 64) // 128], 3)
        difference = 128 * length - m
        m += abs(difference) // 8 * (1 if difference > 0 else -1)
        if length == 0:
            return 0, m
        value = 1
        if length > 1:
            value = 2 * value + self.coder.bit(self.below[length][1])
        if length > 2:
            value = 2 * value + self.coder.bit(self.below[length][value])
        if length > 3:
            value = value << length - 3 | self.coder.plain(length - 3)
        return (-value if self.coder.bit(self.sign) else value), m

    def next(self, shape, start=None):
        count = 1
        for size in shape:
            count *= size
        form = self.coder.tree(self.form[start is not None], 3)
        if form == 0:
            return list(start)
        if form == 1:
            return [0.0] * count
        if form in (2, 3):
            return [self.number(23 if form == 2 else 7) for _ in range(count)]
        self.coder.tree(self.width, 3)
        scale, values, m = self.scale(), [], 0
        for _ in range(count):
            level, m = self.level(m)
            values.append(rounded(level * scale))
        return values if form == 4 else [rounded(a + b) for a, b in zip(start, values)]


def parts(content):
    """SHA-256 of the base in hexadecimal, the deflated header, and the coded tensors."""
    assert content[:4] == b"\x89LK\1"
    assert zlib.crc32(content[:-4]) == struct.unpack("<I", content[-4:])[0]
    at, length, shift = 4, 0, 0
    while True:
        length |= (content[at] & 0x7F) << shift
        shift += 7
        at += 1
        if content[at - 1] < 0x80:
            break
    header, rest = content[at : at + length], content[at + length : -4]
    return rest[:32].hex(), header, rest[32:]
