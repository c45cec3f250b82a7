"""One column that a :class:`~gpuql.memory.column_cache.ColumnCache` has in its charge."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuql.columnar.column import Array, Column
from gpuql.columnar.parts import root_of, stored_arrays
from gpuql.columnar.pieced import MemoryPiece, PiecedColumn, form_of
from gpuql.memory.column_file import write_column
from gpuql.memory.spill_space import SpillFile, SpillSpace
from gpuql_planner.errors import InternalError

if TYPE_CHECKING:
    from gpuql.memory.column_cache import ColumnCache

#: What a column is made of, and a function that makes it, called once.
Content = Column | PiecedColumn
Maker = Callable[[], Content]
#: Number of a query that never was: of columns not used yet.
NEVER = -1


class FileGroup:
    """The temporary file of columns that come and go together, such as a table's; made when first written to."""

    def __init__(self, space: Callable[[], SpillSpace]) -> None:
        self._space = space
        self._lock = threading.Lock()
        self._file: SpillFile | None = None

    def file(self) -> SpillFile:
        """The file. Errors: InputError if it cannot be made."""
        with self._lock:
            if self._file is None:
                self._file = self._space().new_file()
            return self._file

    @property
    def num_bytes(self) -> int:
        """Bytes in the file."""
        return 0 if self._file is None else self._file.num_bytes


class KeptColumn:
    """A column in memory, in pieces elsewhere, still to be made, or absent. Thread-safe.

    Parameters
    ----------
    content : None for a column that its owner makes anew when it is absent, and then hands over with :meth:`offer`.

    Attributes
    ----------
    last_use, previous_use : numbers of the last two queries that used it; later queries have larger ones.
    held_bytes : bytes that it takes in memory now, those of others that it shares apart.
    """

    def __init__(
        self,
        cache: ColumnCache,
        num_rows: int | None,
        group: FileGroup,
        content: Content | Maker | None,
        *,
        borrowed_counts: bool,
    ) -> None:
        self.last_use = NEVER
        self.previous_use = NEVER
        self.held_bytes = 0
        self._cache = cache
        self._num_rows = num_rows
        self._group = group
        self._borrowed_counts = borrowed_counts
        self._lock = threading.Lock()
        self._column: Column | None = None
        self._pieces: PiecedColumn | None = None
        self._make = content if callable(content) else None
        self._is_remade = content is None
        self._made_in_s = 0.0
        self._pins = 0
        self._roots: list[Array] = []
        self._fixed: list[Array] = []
        if isinstance(content, Column):
            self._take_over(content)
        elif isinstance(content, PiecedColumn):
            self._take_over_pieces(content)

    def __del__(self) -> None:
        if self._roots or self._fixed:
            self._cache.discount_later(self._roots + self._fixed)

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def is_here(self) -> bool:
        """Whether the whole column is in memory."""
        return self._column is not None

    @property
    def is_idle(self) -> bool:
        """Whether it could make way now."""
        return self._column is not None and self._pins == 0 and self.held_bytes > 0

    @property
    def num_bytes(self) -> int:
        """About what it takes in memory as a whole; 0 if that is not known before it is made."""
        if self._column is not None:
            return self.held_bytes
        return 0 if self._pieces is None else self._pieces.num_bytes

    def pin(self, query: int) -> Column | None:
        """The whole column, in memory until :meth:`unpin`; None if there is no room for it, or it is absent.

        ``query`` numbers the user. Errors: those of making it, InputError if a file cannot be read.
        """
        with self._lock:
            self._note_use(query)
            column = self._brought() if self._column is None else self._column
            if column is None or (not self._pins and not self._cache.may_pin(self.held_bytes)):
                return None
            self._pinned()
            return column

    def unpin(self) -> None:
        """The contrary of :meth:`pin`."""
        with self._lock:
            self._pins -= 1
            if not self._pins:
                self._cache.note_pinned(-self.held_bytes)

    def _pinned(self) -> None:
        self._pins += 1
        if self._pins == 1:
            self._cache.note_pinned(self.held_bytes)

    def whole(self) -> Column:
        """The whole column, kept in memory if there is room. Errors: as :meth:`pin`."""
        with self._lock:
            column = self._brought() if self._column is None else self._column
            if column is None:
                if self._pieces is None:
                    raise InternalError("column is absent")
                column = self._pieces.whole()
            return column

    def rows(self, start: int, stop: int) -> Column:
        """Some rows: views of what is in memory, or read for this call. Errors: as :meth:`pin`."""
        with self._lock:
            if self._column is None and self._pieces is None:
                self._brought()
            column, pieces = self._column, self._pieces
        if column is not None:
            return column.slice(start, stop)
        if pieces is None:
            raise InternalError("column is absent")
        return pieces.read(start, stop)

    @property
    def unmade(self) -> Maker | None:
        """What will make the column when it is first used; None once that was done."""
        return self._make

    def content(self) -> Content:
        """The rows as they are, wherever they are."""
        with self._lock:
            if self._column is None and self._pieces is None:
                self._brought()
            content: Content | None = self._column if self._pieces is None else self._pieces
        if content is None:
            raise InternalError("column is absent")
        return content

    def offer(self, column: Column, query: int, made_in_s: float, *, room: int) -> bool:
        """Keep, and pin, an absent column that took so long to make; ``room`` bytes are taken for it already.

        False if it was there.
        """
        with self._lock:
            if self._column is not None:
                return False
            self._made_in_s = made_in_s
            self._hold(column, room)
            self._pinned()
            return True

    # --- coming and going; the lock is held --------------------------------------------------------------------------

    def _note_use(self, query: int) -> None:
        if query != self.last_use:
            self.previous_use, self.last_use = self.last_use, query

    def _brought(self) -> Column | None:
        """The column, after it was made or read and if it stays in memory."""
        if self._make is not None:
            content = self._make()
            rows = len(content)
            if rows != self._num_rows:
                raise InternalError(f"column length differs from the table's: {rows} rows")
            if isinstance(content, Column):
                self._take_over(content)
            else:
                self._take_over_pieces(content)
            self._make = None  # not before: without room in files it has to be made again
            if self._column is not None:
                return self._column
        if self._pieces is None:
            return None
        num_bytes = self._pieces.num_bytes
        if not self._cache.make_room(self, num_bytes):
            return None
        started = time.perf_counter()
        try:
            column = self._pieces.whole()
        except BaseException:
            self._cache.give_room(num_bytes)
            raise
        self._cache.note_read(num_bytes, time.perf_counter() - started)
        self._hold(column, num_bytes)
        return column

    def _take_over(self, column: Column) -> None:
        """Keep a column that is in memory: there if there is room, else in the file."""
        num_bytes = sum(int(root.nbytes) for root in self._counted_roots(column))
        if self._cache.make_room(self, num_bytes):
            self._hold(column, num_bytes)
        else:
            self._pieces = self._written(column)

    def _take_over_pieces(self, content: PiecedColumn) -> None:
        """Keep a column in pieces, none of them in memory; its dictionary stays there."""
        pieces = [
            write_column(self._group.file(), piece.column) if isinstance(piece, MemoryPiece) else piece
            for piece in content.pieces
        ]
        self._pieces = PiecedColumn(pieces, content.form)
        dictionary = content.form.dictionary
        if dictionary is not None:
            self._fixed = [dictionary.offsets, dictionary.data]
            self._cache.count(self._fixed, 0)

    def _hold(self, column: Column, room: int) -> None:
        self._roots = self._counted_roots(column)
        self.held_bytes = self._cache.count(self._roots, room)
        self._column = column

    def _counted_roots(self, column: Column) -> list[Array]:
        arrays = stored_arrays(column)
        if column.strings is not None:
            arrays += [column.strings.offsets, column.strings.data]
        roots = {id(root): root for root in map(root_of, arrays)}
        return [root for root in roots.values() if self._borrowed_counts or root.flags.owndata]

    def _written(self, column: Column) -> PiecedColumn:
        piece = write_column(self._group.file(), column)
        return PiecedColumn([piece], form_of(column))

    def let_go(self) -> int:
        """Leave memory, after being written to the file if need be; the bytes that are free now. 0 if it is in use.

        Errors: OutOfMemoryError if temporary files may not be larger, InputError if they cannot be written.
        """
        if not self._lock.acquire(blocking=False):
            return 0
        try:
            column = self._column
            if column is None or self._pins or not self.held_bytes:
                return 0
            if self._pieces is None and self._is_worth_writing():
                self._pieces = self._written(column)
            roots, self._roots = self._roots, []
            self._column = column = None
            self.held_bytes = 0
            return self._cache.discount(roots)
        finally:
            self._lock.release()

    def _is_worth_writing(self) -> bool:
        if not self._is_remade:
            return True
        return self.previous_use != NEVER and self._cache.is_worth_a_file(self.held_bytes, self._made_in_s)
