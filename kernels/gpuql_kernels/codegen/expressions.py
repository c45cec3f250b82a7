"""Row expressions as lines of source: values with their validity, and three-valued truth."""

from __future__ import annotations

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.writer import FunctionWriter
from gpuql_kernels.thresholds import SELECTED_NODES

_SMALL_UNSIGNED = ("uint8", "uint16", "uint32")
_INVERSE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


class ExpressionEmitter(FunctionWriter):
    """Emits expressions over the current row ``i`` and the rows matched by earlier probes."""

    #: Variable that columns are indexed by.
    row_index = "i"

    def __init__(self, program: ir.Program, target: str) -> None:
        super().__init__(program, target)
        self.staged: set[int] = set()

    def value(self, node: ir.Value) -> tuple[str, str | None]:
        """Names (or short texts) of the value and of its validity; None means it is never NULL."""
        known = self.values.get(id(node))
        if known is None:
            known = self.write_value(node)
            self.values[id(node)] = known
        return known

    def truth(self, node: ir.Value) -> str:
        """Condition under which a BOOLEAN is true."""
        return self.truths(node)[0]

    def truths(self, node: ir.Value) -> tuple[str, str]:
        """Conditions under which a BOOLEAN is true, and is false; NULL is neither."""
        known = self.truth_names.get(id(node))
        if known is None:
            known = self.write_truths(node)
            self.truth_names[id(node)] = known
        return known

    def write_truths(self, node: ir.Value) -> tuple[str, str]:
        """As :meth:`truths`, not memoised."""
        if isinstance(node, ir.Compare):
            return self.comparison(node)
        if isinstance(node, ir.Connective):
            pairs = [self.truths(operand) for operand in node.operands]
            if node.operator == "and":
                yes, no = " & ".join(p[0] for p in pairs), " | ".join(p[1] for p in pairs)
            else:
                yes, no = " | ".join(p[0] for p in pairs), " & ".join(p[1] for p in pairs)
            true = self.name(f"({yes})", "t")
            return true, self.name(f"({no})", "f") if node.nullable else f"(not {true})"
        if isinstance(node, ir.Not):
            true, false = self.truths(node.operand)
            return false, true
        if isinstance(node, ir.IsNull):
            _, valid = self.value(node.operand)
            return ("False", "True") if valid is None else (f"(not {valid})", valid)
        value, valid = self.value(node)
        if valid is None:
            return value, f"(not {value})"
        return self.name(f"{valid} & {value}", "t"), self.name(f"{valid} & (not {value})", "f")

    def comparison(self, node: ir.Compare) -> tuple[str, str]:
        """Conditions under which a comparison is true, and is false."""
        left, left_valid = self.value(node.left)
        right, right_valid = self.value(node.right)
        if node.left.dtype.startswith("float"):
            text = {
                "==": f"float_equal({left}, {right})",
                "!=": f"(not float_equal({left}, {right}))",
                "<": f"float_less({left}, {right})",
                ">": f"float_less({right}, {left})",
                "<=": f"(not float_less({right}, {left}))",
                ">=": f"(not float_less({left}, {right}))",
            }[node.operator]
            inverse = f"(not {text})"
        else:
            text = f"({left} {node.operator} {right})"
            inverse = f"({left} {_INVERSE[node.operator]} {right})"
        valid = both_valid(left_valid, right_valid)
        if valid is None:
            return self.name(text, "t"), inverse
        return self.name(f"({valid}) & {text}", "t"), f"(({valid}) & {inverse})"

    def write_value(self, node: ir.Value) -> tuple[str, str | None]:
        """As :meth:`value`, not memoised."""
        if isinstance(node, ir.Compare | ir.Connective | ir.Not | ir.IsNull):
            true, false = self.truths(node)
            if not node.nullable:
                return true, None
            return true, self.name(f"({true}) | ({false})", "n")
        match node:
            case ir.Column():
                prefix, row = ("c", "i") if self.on_cpu else ("a", self.row_index)
                return self.load(node, f"{prefix}{node.array}[{row}]", node.validity, f"{prefix}{{}}[{row}]")
            case ir.Gather():
                return self.gather(node)
            case ir.Lookup():
                return self.lookup(node)
            case ir.Parameter():
                return f"a{node.argument}", None
            case ir.BuildRow():
                return self.matched_row(node.probe), None
            case ir.RowNumber():
                return "i", None
            case ir.Null():
                return f"np.{node.dtype}(0)", "False"
            case ir.Arithmetic():
                return self.arithmetic(node)
            case ir.Choose():
                return self.choose(node)
            case ir.Coalesce():
                return self.coalesce(node)
            case ir.Convert():
                value, valid = self.value(node.operand)
                return self.name(f"np.{node.dtype}({value})"), valid
            case ir.Rescale():
                value, valid = self.value(node.operand)
                return self.name(f"rescale_down({self.widened(value, node.operand)}, a{node.divisor})"), valid
            case ir.ScalarCall():
                pairs = [self.value(operand) for operand in node.operands]
                text = f"{node.function}({', '.join(value for value, _ in pairs)})"
                known: str | None = None
                for _, one in pairs:
                    known = both_valid(known, one)
                return self.name(text), None if known is None else self.name(known, "n")
            case ir.Mark():
                if node.probe in self.staged:
                    known = f"known{node.probe}[i]" if node.nullable else None
                    return f"found{node.probe}[i]", known
                return f"e{node.probe}", f"u{node.probe}" if node.nullable else None
        raise TypeError(f"unknown row expression: {type(node).__name__}")

    def load(
        self, node: ir.Value, text: str, validity: int | None, validity_text: str
    ) -> tuple[str, str | None]:
        """Read an array element, and the one of its validity (a format with one place for the argument)."""
        if node.dtype in _SMALL_UNSIGNED:
            text = f"np.int64({text})"
        value = self.name(text)
        return value, None if validity is None else self.name(validity_text.format(validity), "n")

    def matched_row(self, number: int) -> str:
        """Variable with the build row that step ``number`` matched, -1 if none."""
        if number in self.staged and ("row", number) not in self.values:
            self.values["row", number] = self.name(f"np.int64(rows{number}[i])", "r"), None
        known = self.values.get(("row", number))
        return f"r{number}" if known is None else known[0]

    def gather(self, node: ir.Gather) -> tuple[str, str | None]:
        """Column of a build side at the matched row; NULL where an outer probe matched none."""
        row = self.matched_row(node.probe)
        step = self.program.steps[node.probe]
        assert isinstance(step, ir.Probe), "Gather names a probe"
        if step.kind not in ("left", "full", "single"):
            return self.load(node, f"a{node.array}[{row}]", node.validity, f"a{{}}[{row}]")
        safe = self.name(f"max({row}, np.int64(0))", "g")
        value, valid = self.load(node, f"a{node.array}[{safe}]", node.validity, f"a{{}}[{safe}]")
        present = f"({row} >= 0)"
        return value, self.name(present if valid is None else f"{present} & {valid}", "n")

    def lookup(self, node: ir.Lookup) -> tuple[str, str | None]:
        """Element of a tabulated function; a NULL index reads element 0."""
        index, valid = self.value(node.index)
        if node.offset is not None:
            index = f"np.int64({index}) - a{node.offset}"
        if valid is not None:  # a NULL may hold anything: stay inside the array
            index = self.name(f"np.int64({index}) if {valid} else np.int64(0)", "g")
        elif node.offset is not None:
            index = self.name(index, "g")
        value, known = self.load(node, f"a{node.array}[{index}]", node.validity, f"a{{}}[{index}]")
        both = both_valid(valid, known)
        return value, None if both is None else self.name(both, "n")

    @staticmethod
    def widened(text: str, node: ir.Value, dtype: str = "int64") -> str:
        """The value as ``dtype``, so that arithmetic on narrow columns neither wraps nor differs between devices."""
        return text if node.dtype == dtype else f"np.{dtype}({text})"

    def arithmetic(self, node: ir.Arithmetic) -> tuple[str, str | None]:
        """Both operands in the type of the result; checked where the program asks for it."""
        left, left_valid = self.value(node.left)
        right, right_valid = self.value(node.right)
        left = self.widened(left, node.left, node.dtype)
        right = self.widened(right, node.right, node.dtype)
        valid = both_valid(left_valid, right_valid)
        valid = None if valid is None else self.name(valid, "n")
        result = self.name(f"{left} {node.operator} {right}")
        if node.limits is not None:
            check = {"+": "add_overflows", "-": "subtract_overflows", "*": "multiply_overflows"}[
                node.operator
            ]
            low, high = node.limits
            test = f"{check}({left}, {right}, {result}) or {result} < {low} or {result} > {high}"
            with self.block(f"if {test if valid is None else f'{valid} and ({test})'}:"):
                self.line(f"status[0] = {ir.STATUS_OVERFLOW}")
        return result, valid

    def choose(self, node: ir.Choose) -> tuple[str, str | None]:
        """CASE: selected from computed branches if they are cheap, else branch by branch."""
        if _is_selectable(node):
            return self.select(node)
        value = self.fresh("v")
        valid = self.fresh("n") if node.nullable else None
        self.line(f"{value} = np.{_natural(node.dtype)}(0)")
        if valid:
            self.line(f"{valid} = True")
        self.choose_from(node, 0, value, valid)
        return value, valid

    def choose_from(self, node: ir.Choose, position: int, value: str, valid: str | None) -> None:
        """Nested branches from ``position`` on, each evaluated only when taken."""
        if position == len(node.branches):
            self.assign(node, node.otherwise, value, valid)
            return
        condition, result = node.branches[position]
        with self.block(f"if {self.truth(condition)}:"):
            self.assign(node, result, value, valid)
        with self.block("else:"):
            self.choose_from(node, position + 1, value, valid)

    def assign(self, node: ir.Choose, result: ir.Value, value: str, valid: str | None) -> None:
        """Give ``value`` and ``valid`` the result of a branch."""
        text, known = self.value(result)
        self.line(f"{value} = np.{_natural(node.dtype)}({text})")
        if valid and known:
            self.line(f"{valid} = {known}")

    def select(self, node: ir.Choose) -> tuple[str, str | None]:
        """All branches computed, the last first, and selected from."""
        dtype = f"np.{_natural(node.dtype)}"
        text, known = self.value(node.otherwise)
        value = self.name(f"{dtype}({text})")
        valid = self.name(known or "True", "n") if node.nullable else None
        for condition, result in reversed(node.branches):
            truth = self.truth(condition)
            text, known = self.value(result)
            value = self.name(f"{dtype}({text}) if {truth} else {value}")
            if valid is not None:
                valid = self.name(f"{known or 'True'} if {truth} else {valid}", "n")
        return value, valid

    def coalesce(self, node: ir.Coalesce) -> tuple[str, str | None]:
        """First operand that is not NULL."""
        first, *others = node.operands
        text, known = self.value(first)
        if known is None:
            return text, None
        value, valid = self.name(f"np.{_natural(node.dtype)}({text})"), self.name(known, "n")
        for operand in others:
            with self.block(f"if not {valid}:"):
                text, known = self.value(operand)
                self.line(f"{value} = np.{_natural(node.dtype)}({text})")
                self.line(f"{valid} = {known or 'True'}")
        return value, valid if node.nullable else None


def _is_selectable(node: ir.Choose) -> bool:
    """Whether computing branches that are not taken costs little and raises nothing."""
    size = 0
    pending: list[ir.Value] = [node]
    while pending:
        value = pending.pop()
        size += 1
        match value:
            case ir.Choose():
                pending += [part for branch in value.branches for part in branch]
                pending.append(value.otherwise)
            case ir.Arithmetic(limits=None) | ir.Compare():
                pending += [value.left, value.right]
            case ir.Connective():
                pending += value.operands
            case ir.Not() | ir.IsNull() | ir.Convert():
                pending.append(value.operand)
            case ir.Lookup():
                pending.append(value.index)
            case ir.Column() | ir.Parameter() | ir.Null():
                pass
            case _:
                return False
        if size > SELECTED_NODES:
            return False
    return True


def _natural(dtype: str) -> str:
    return "bool_" if dtype == "bool" else dtype


def both_valid(left: str | None, right: str | None) -> str | None:
    """Conjunction of two validities."""
    if left is None or right is None:
        return left or right
    return left if left == right else f"{left} & {right}"
