"""Conditions on an event's properties: ``plan = 'pro' and (seats >= 5 or country in ('DE', 'FR'))``.

The grammar, in full::

    condition  = both { "or" both }
    both       = term { "and" term }
    term       = "(" condition ")" | property operator value | property "in" "(" value { "," value } ")"
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">="
    property   = a name of letters, digits, _ $ . - that begins with no digit, or any name in double quotes
    value      = text in single or double quotes (a quote within is doubled), a number as JSON has them, true, false

A comparison with a property that is absent or null is false, ``!=`` too.  Equality is JSON's, as in a ladder's
``where``: ``1`` equals ``1.0``; ``true`` is no ``1``, ``"1"`` is no ``1``.  ``<`` and its kin compare numbers with
numbers and text with text (by code point); everything else is in no order, and they are false for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, cast

import numpy as np
import numpy.typing as npt

from ladder.errors import UsageError
from ladder.tiers import Scalar

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in"]
Flags = npt.NDArray[np.bool_]

DEEPEST = 32
"""Brackets within brackets."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<sign><=|>=|!=|=|<|>|\(|\)|,)
    | (?P<single>'(?:[^']|'')*')
    | (?P<double>"(?:[^"]|"")*")
    | (?P<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w$.]))
    | (?P<word>[^\W\d][\w$.-]*|\$[\w$.-]*)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Coded:
    """A property of many events: ``values[codes[n]]`` is the n-th event's; code -1 where it has none."""

    codes: npt.NDArray[np.signedinteger[Any]]
    values: Sequence[object]

    def flags(self, holds: Callable[[object], bool]) -> Flags:
        """Of which events the value is there and holds; asked once per distinct value."""
        table = np.array([*(holds(value) for value in self.values), False], np.bool_)
        return np.asarray(table[self.codes], np.bool_)


@dataclass(frozen=True)
class Compare:
    """``property operator values``; one value for all operators but ``in``."""

    property: str
    operator: Operator
    values: tuple[Scalar, ...]

    def properties(self) -> frozenset[str]:
        return frozenset({self.property})

    def flags(self, columns: Mapping[str, Coded]) -> Flags:
        return columns[self.property].flags(self.holds)

    def holds(self, value: object) -> bool:
        """Whether it is true of an event whose property has this value (not None)."""
        if self.operator in ("=", "in"):
            return any(_equal(value, wanted) for wanted in self.values)
        (wanted,) = self.values
        if self.operator == "!=":
            return not _equal(value, wanted)
        if not (_both(value, wanted, (int, float)) or _both(value, wanted, (str,))):
            return False
        left, right = cast("tuple[float, float]", (value, wanted))  # or two texts, which compare alike
        if self.operator == "<":
            return left < right
        if self.operator == "<=":
            return left <= right
        return left > right if self.operator == ">" else left >= right


@dataclass(frozen=True)
class Combined:
    """All of the parts (``and``) or any of them (``or``)."""

    word: Literal["and", "or"]
    parts: tuple[Condition, ...]

    def properties(self) -> frozenset[str]:
        return frozenset().union(*(part.properties() for part in self.parts))

    def flags(self, columns: Mapping[str, Coded]) -> Flags:
        together = np.logical_and if self.word == "and" else np.logical_or
        flags = self.parts[0].flags(columns)
        for part in self.parts[1:]:
            flags = together(flags, part.flags(columns))
        return flags


Condition = Compare | Combined


def parse_condition(text: str) -> Condition:
    """A condition from its text.  ``UsageError`` says where it is wrong and what belongs there."""
    return _Parser(text).condition_to_the_end()


def all_of(conditions: Sequence[Condition]) -> Condition | None:
    """Their conjunction; None for none."""
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else Combined("and", tuple(conditions))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._kind, self._token, self._start = "", "", 0
        self._next()

    def condition_to_the_end(self) -> Condition:
        found = self._condition()
        if self._kind:
            self._refuse("`and`, `or` or the end")
        return found

    def _condition(self) -> Condition:
        return self._chain("or", lambda: self._chain("and", self._term))

    def _chain(self, word: Literal["and", "or"], part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._kind == "word" and self._token.lower() == word:
            self._next()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Combined(word, tuple(parts))

    def _term(self) -> Condition:
        if self._token == "(" and self._kind == "sign":
            self._depth += 1
            if self._depth > DEEPEST:
                self._refuse(f"no more than {DEEPEST} brackets within one another")
            self._next()
            inner = self._condition()
            self._expect(")")
            self._depth -= 1
            return inner
        if self._kind == "double":
            name = _unquoted(self._token)
        elif self._kind == "word" and self._token.lower() not in ("and", "or", "in"):
            name = self._token
        else:
            self._refuse("the name of a property (in double quotes where it is no plain word)")
        self._next()
        if self._kind == "word" and self._token.lower() == "in":
            self._next()
            self._expect("(")
            values = [self._value()]
            while self._kind == "sign" and self._token == ",":
                self._next()
                values.append(self._value())
            self._expect(")")
            return Compare(name, "in", tuple(values))
        if self._kind != "sign" or self._token not in ("=", "!=", "<", "<=", ">", ">="):
            self._refuse("one of = != < <= > >= in")
        operator = cast(Operator, self._token)
        self._next()
        return Compare(name, operator, (self._value(),))

    def _value(self) -> Scalar:
        value: Scalar
        if self._kind in ("single", "double"):
            value = _unquoted(self._token)
        elif self._kind == "number":
            value = float(self._token) if re.search(r"[.eE]", self._token) else int(self._token)
            if abs(value) == float("inf"):
                self._refuse("a number that JSON has")
        elif self._kind == "word" and self._token.lower() in ("true", "false"):
            value = self._token.lower() == "true"
        else:
            self._refuse("a value: text in quotes such as 'pro', a number, true or false")
        self._next()
        return value

    def _expect(self, sign: str) -> None:
        if self._kind != "sign" or self._token != sign:
            self._refuse(f"`{sign}`")
        self._next()

    def _next(self) -> None:
        rest = self._text[self._at :]
        self._start = self._at + len(rest) - len(rest.lstrip())
        if not rest.strip():
            self._kind, self._token, self._start = "", "", len(self._text)
            return
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            self._kind, self._token = "strange", self._text[self._start]
            return
        self._kind = str(found.lastgroup)
        self._token = found[self._kind]
        self._at = found.end()

    def _refuse(self, wanted: str) -> NoReturn:
        place = f"at character {self._start + 1}, {self._token!r}" if self._kind else "at its end"
        raise UsageError(f"{self._text!r}: {place}: here belongs {wanted}")


def _unquoted(token: str) -> str:
    quote = token[0]
    return token[1:-1].replace(quote * 2, quote)


def _equal(value: object, wanted: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted


def _both(value: object, wanted: object, kinds: tuple[type, ...]) -> bool:
    return all(isinstance(one, kinds) and not isinstance(one, bool) for one in (value, wanted))
