"""What a caller sends is judged quickly and quoted shortly, however much it is."""

import traceback
from typing import Any

import pytest

from orderdesk_app.context import Secret
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.tools.arguments import Arguments, SecretText, parse
from orderdesk_app.tools.catalogue import Tool, every_tool
from orderdesk_app.tools.order_arguments import GetOrder, ListOrders, UpdateOrder
from orderdesk_app.tools.toolsets.tenants import UseMasterKey


def refused(given: Any) -> ValidationFailed:
    with pytest.raises(ValidationFailed) as caught:
        parse(GetOrder, given)
    return caught.value


def test_a_misspelt_name_explains_a_missing_one() -> None:
    error = refused({"order_idd": "5"})

    assert (error.field, error.message) == (
        "order_idd",
        "order_idd is not an argument of this tool. Did you mean order_id?",
    )


def test_a_name_as_long_as_a_request_may_be_is_quoted_shortly() -> None:
    error = refused({"order_id": "5", "x" * 4_000_000: 1})

    assert len(error.message) < 300
    assert len(error.field or "") < 300


def test_too_many_fields_are_refused_before_each_is_looked_at() -> None:
    for fields in ([5] * 101, "a," * 101):
        error = refused({"order_id": "5", "fields": fields})

        assert (error.field, error.message) == ("fields", "fields must hold at most 100 entries.")


@pytest.mark.parametrize("given", [5, "5", 5.0, " 5 "])
def test_an_id_may_come_as_any_whole_number(given: Any) -> None:
    assert parse(GetOrder, {"order_id": given, "store_identifier": 10001.0}) == GetOrder(
        order_id="5", store_identifier="10001"
    )


@pytest.mark.parametrize("given", [5.5, -5.0, 1e300, float("nan"), float("inf"), True, 2.0**60])
def test_other_numbers_are_no_ids(given: Any) -> None:
    assert refused({"order_id": given}).field == "order_id"


@pytest.mark.parametrize("given", [True, False, "1_0", 2.5, "ten", [1]])
def test_only_whole_numbers_are_whole_numbers(given: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse(ListOrders, {"limit": given})

    assert (caught.value.field, caught.value.message) == ("limit", "limit must be a whole number.")


def test_a_text_is_measured_in_characters() -> None:
    error = refused({"order_id": "5", "store_identifier": "x" * 201})

    assert (error.field, error.message) == (
        "store_identifier",
        "store_identifier must be at most 200 characters.",
    )


def test_null_means_left_out() -> None:
    assert parse(GetOrder, {"order_id": "5", "fields": None, "store_identifier": None}) == GetOrder(
        order_id="5"
    )


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("tool", every_tool(), ids=lambda tool: tool.name)
def test_an_empty_text_means_left_out_where_one_may_leave_it_out(tool: Tool, empty: str) -> None:
    """In the strict mode of OpenAI's API a model has to send every argument."""
    given = tool.example.model_dump(mode="json", exclude_unset=True)
    needed = {name: given[name] for name in tool.input_schema.get("required", ())}
    others = tool.input_schema["properties"].keys() - needed - tool.arguments.never_empty

    assert parse(tool.arguments, needed | dict.fromkeys(others, empty)) == parse(
        tool.arguments, needed
    )


def test_an_empty_guard_is_a_mistake() -> None:
    """The caller believes that nobody else's change is overwritten."""
    given = {"order_id": "5", "changes": {"email": ""}, "expected_date_updated": ""}

    assert parse(UpdateOrder, given).expected_date_updated == ""


def test_a_secret_is_read_from_text_and_prints_as_stars() -> None:
    arguments = parse(UseMasterKey, {"master_key": " opens-everything "})

    assert arguments == UseMasterKey(master_key=Secret("opens-everything"))
    assert "opens-everything" not in f"{arguments!r} {arguments} {arguments.model_dump()}"
    assert arguments.model_dump(mode="json") == {"master_key": "***"}


class WithSecrets(Arguments):
    plain: str = ""
    required: SecretText
    optional: SecretText | None = None
    many: list[SecretText]
    named: dict[str, SecretText]
    within: UseMasterKey | None = None


def test_an_argument_with_a_secret_anywhere_in_it_is_secret() -> None:
    """Its value is then neither kept nor put into the web's state."""
    assert WithSecrets.secret_names() == {"required", "optional", "many", "named", "within"}


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("", "must not be empty"),
        ("  ", "must not be empty"),
        ("opens-everything" * 33, "must be at most 512 characters"),
        (5, "must be text"),
        (["opens-everything"], "must be text"),
    ],
)
def test_a_wrong_secret_is_refused_without_its_text(given: Any, rule: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse(UseMasterKey, {"master_key": given})

    assert (caught.value.field, caught.value.message) == ("master_key", f"master_key {rule}.")
    assert "opens-everything" not in "".join(traceback.format_exception(caught.value))
