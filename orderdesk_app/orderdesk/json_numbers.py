"""Which numbers survive a JSON reader that keeps them as binary floating point, as JavaScript does.

RFC 8259 section 6: whole numbers are exchanged exactly within ±2^53 alone. A client that reads an
18-digit id as a number shows a rounded one, and writes the rounded one back.
"""

from decimal import Decimal

MAX_EXACT = 2**53  # a whole number beyond it may share its double with a neighbour


def is_rounded(number: int | float | Decimal) -> bool:
    """True for a number whose digits such a reader does not keep: whole beyond ±2^53, or with more
    digits than a double holds.
    """
    if isinstance(number, int):
        return abs(number) > MAX_EXACT
    if isinstance(number, float):
        return number.is_integer() and abs(number) > MAX_EXACT
    if number.adjusted() > 16 or number.adjusted() < -300:  # 10^17 is beyond 2^53
        return bool(number)
    if number == number.to_integral_value():
        return abs(number) > MAX_EXACT
    return Decimal(repr(float(number))) != number


def exact_text(number: int | Decimal) -> str:
    """All digits of a number, as text; with an exponent only where that is hundreds of digits."""
    if isinstance(number, Decimal) and -300 <= number.adjusted() <= 300:
        return f"{number:f}"
    return str(number)


def share_a_double(one: Decimal, other: Decimal) -> bool:
    """True for two different numbers that such a reader takes for one."""
    return one != other and float(one) == float(other)


ROUNDED = (
    "has more digits than many programs keep in a number, so it may have been rounded on its way "
    "here. Send it as text, in quotes"
)
