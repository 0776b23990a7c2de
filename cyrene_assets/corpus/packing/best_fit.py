"""Packing: rows of a training sequence into packs of a fixed number of tokens.

Best-fit bin packing as for pretraining documents in Ding et al., "Fewer Truncations Improve
Language Modeling" (arXiv 2404.10830), which keeps the open lengths in an ordered index, and as by
histogram of lengths in Krell et al., "Efficient Sequence Packing without Cross-contamination"
(arXiv 2107.02027). Theirs pack all rows from the longest to the shortest. Here the order of reading
matters, so one pack is open at a time: rows enter as they come, and only where the next one does
not fit are the last places filled by the longest rows of the same epoch that do.

ms-swift packs the finished sequence again, next-fit, and knows nothing of documents
(``--packing_strategy sequential``). So the first row of a pack is one that did not fit the pack
before, and next-fit arrives at the same packs.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cyrene_assets.corpus.packing.next_fit import Ints, next_fit

# How many rows that are in the way are looked at before a place stays empty, or a row waits on.
MAX_TRIES = 64


@dataclass
class _Pack:
    """The open pack: its rows, their units, and the tokens left."""

    rest: int
    rows: list[int] = field(default_factory=list)
    units: set[int] = field(default_factory=set)

    def put(self, row: int, length: int, unit: int) -> None:
        self.rows.append(row)
        self.units.add(unit)
        self.rest -= length


class _Waiting:
    """Rows whose unit was in the open pack when it was their turn, by unit."""

    def __init__(self) -> None:
        self.rows: dict[int, deque[tuple[int, int]]] = {}

    def add(self, row: int, length: int, unit: int) -> None:
        self.rows.setdefault(unit, deque()).append((row, length))

    def add_first(self, row: int, length: int, unit: int) -> None:
        self.rows.setdefault(unit, deque()).appendleft((row, length))

    def put_into(self, pack: _Pack, unit: int) -> None:
        waiting = self.rows[unit]
        row, length = waiting.popleft()
        if not waiting:
            del self.rows[unit]
        pack.put(row, length, unit)

    def fill(self, pack: _Pack) -> None:
        """Put rows into the pack that fit, one of a unit."""
        misses = 0
        for unit in list(self.rows):
            if unit in pack.units:
                continue
            if self.rows[unit][0][1] <= pack.rest:
                self.put_into(pack, unit)
            else:
                misses += 1
                if misses == MAX_TRIES:
                    return

    def longer(self, rest: int) -> int | None:
        """Return the unit of a row that does not fit ``rest``, of those that are next."""
        return next((unit for unit, rows in self.rows.items() if rows[0][1] > rest), None)


class _Epoch:
    """The rows of an epoch in reading order, and those not yet packed by length."""

    def __init__(self, offset: int, lengths: Ints, units: Ints) -> None:
        self.offset = offset
        self.next = 0
        self.lengths: list[int] = lengths.tolist()
        self.units: list[int] = units.tolist()
        self.packed = bytearray(len(lengths))
        by_length = np.argsort(lengths, kind="stable")
        distinct, starts = np.unique(lengths[by_length], return_index=True)
        parts = np.split(by_length, starts[1:])
        self.of_length: dict[int, list[int]] = {
            length: part.tolist() for length, part in zip(distinct.tolist(), parts, strict=True)
        }
        # Bit n is set if rows of n tokens may be left: the longest of at most n is one shift away.
        self.left = sum(1 << length for length in self.of_length)

    def fill_in_order(self, pack: _Pack, waiting: _Waiting) -> bool:
        """Put the next rows into the pack; return whether one is left, which does not fit."""
        lengths, units, packed, offset = self.lengths, self.units, self.packed, self.offset
        rest, rows, inside = pack.rest, pack.rows, pack.units
        for number in range(self.next, len(lengths)):
            if packed[number]:
                continue
            length = lengths[number]
            if length > rest:
                self.next, pack.rest = number, rest
                return True
            unit = units[number]
            packed[number] = 1
            if unit in inside:
                waiting.add(offset + number, length, unit)
            else:
                inside.add(unit)
                rows.append(offset + number)
                rest -= length
        self.next, pack.rest = len(lengths), rest
        return False

    def put_next(self, pack: _Pack) -> None:
        """Put the next row, the one that did not fit, into a new pack."""
        self._put(self.next, pack)

    def close(self, pack: _Pack, waiting: _Waiting) -> None:
        """Fill what is left of the pack, the longest row that fits first.

        Where what is left then is too little for any row, a longer one takes the last one's place,
        which waits for the next pack.
        """
        while pack.rest and (number := self._longest(pack, 1, pack.rest)) is not None:
            self._put(number, pack)
        last = pack.rows[-1] - self.offset
        if pack.rest and last >= 0:
            length, unit = self.lengths[last], self.units[last]
            number = self._longest(pack, length + 1, length + pack.rest)
            if number is not None:
                pack.rows.pop()
                pack.units.remove(unit)
                pack.rest += length
                self._put(number, pack)
                # Where that was the row that did not fit, this one does not fit now: the first of
                # its unit to be looked at, it opens the next pack.
                waiting.add_first(last + self.offset, length, unit)

    def _put(self, number: int, pack: _Pack) -> None:
        self.packed[number] = 1
        pack.put(self.offset + number, self.lengths[number], self.units[number])

    def _longest(self, pack: _Pack, shortest: int, longest: int) -> int | None:
        """Return the longest row of these lengths whose unit is not in the pack."""
        tries = MAX_TRIES
        while True:
            length = (self.left & ((2 << longest) - 1)).bit_length() - 1
            if length < shortest:
                return None
            rows = self.of_length[length]
            while rows and self.packed[rows[-1]]:
                rows.pop()
            if not rows:
                self.left ^= 1 << length
            # The last in reading order comes first: the stream meets it last.
            for number in reversed(rows):
                if not self.packed[number] and self.units[number] not in pack.units:
                    return number
                tries -= 1
                if not tries:
                    return None
            longest = length - 1


def packing_order(lengths: Ints, units: Ints, epochs: Ints, capacity: int) -> Ints:
    """Return the order of rows in which next-fit packing fills packs of ``capacity`` tokens.

    Given are the rows of a training sequence in reading order: tokens, a number for the unit that
    they are copies, translations or pieces of, and the epoch (ascending). Epochs stay one after
    another, and within one the rows come in about their order: a pack's last rows come from further
    back, and a row whose unit is in the open pack waits for the next one.

    No pack gets two rows of a unit, as long as another row is left that closes the pack by being
    too long for it. Where none is (few units, many copies), rows of a unit end up side by side.

    Raises:
        ValueError: a row is longer than a pack.
    """
    if lengths.max(initial=0) > capacity:
        raise ValueError(f"a row of {lengths.max()} tokens fits no pack of {capacity}")
    order: list[int] = []
    waiting = _Waiting()
    pack = _Pack(capacity)
    bounds = np.flatnonzero(np.diff(epochs, prepend=-1, append=-1)).tolist()
    for start, stop in pairwise(bounds):
        stream = _Epoch(start, lengths[start:stop], units[start:stop])
        while stream.fill_in_order(pack, waiting):
            stream.close(pack, waiting)
            order += pack.rows
            first, pack = waiting.longer(pack.rest), _Pack(capacity)
            if first is not None:
                waiting.put_into(pack, first)
            else:
                stream.put_next(pack)
            waiting.fill(pack)
    while waiting.rows:
        waiting.fill(pack)
        first = waiting.longer(pack.rest)
        if first is not None:
            order += pack.rows
            pack = _Pack(capacity)
        elif waiting.rows:
            first = next(iter(waiting.rows))
        if first is not None:
            waiting.put_into(pack, first)
    return _separated(np.array(order + pack.rows, dtype=np.int64), lengths, units, capacity)


def _separated(order: Ints, lengths: Ints, units: Ints, capacity: int) -> Ints:
    """Separate rows of a unit that share a pack, as happens where the sequence runs out of others.

    Such a row changes places with one of another pack that is as long, or so little longer that
    next-fit still opens the same packs.
    """
    order = order.copy()
    of_row = lengths[order]
    packs = next_fit(of_row, capacity)
    bounds = np.flatnonzero(np.diff(packs, prepend=-1, append=-1))
    rest = capacity - np.add.reduceat(of_row, bounds[:-1]) if len(order) else of_row
    _, first = np.unique(packs * (units.max(initial=0) + 1) + units[order], return_index=True)
    second = np.setdiff1d(np.arange(len(order)), first, assume_unique=True)
    for place in second[-MAX_TRIES:].tolist():
        pack = packs[place]
        longer = of_row - of_row[place]
        # The pack may not get too full, nor the other so empty that the next one's first row fits.
        head = of_row[bounds[np.minimum(packs + 1, packs[-1])]]
        fits = (longer >= 0) & (longer <= rest[pack]) & (packs != pack) & (packs < packs[-1])
        fits[bounds[:-1]] = False
        fits &= rest[packs] + longer < head
        candidates = np.flatnonzero(fits)
        nearest = candidates[np.argsort(longer[candidates], kind="stable")[: MAX_TRIES * MAX_TRIES]]
        here = units[order[bounds[pack] : bounds[pack + 1]]]
        for partner in nearest[~np.isin(units[order[nearest]], here)].tolist():
            partner_pack = packs[partner]
            if units[order[place]] in units[order[bounds[partner_pack] : bounds[partner_pack + 1]]]:
                continue
            rest[pack] -= longer[partner]
            rest[partner_pack] += longer[partner]
            order[[place, partner]] = order[[partner, place]]
            of_row[[place, partner]] = of_row[[partner, place]]
            break
    return order
