"""Values cross the journal as JSON and come back as they were, or are refused with a remedy."""

import functools
import inspect
import json
import math
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
)
from typing_extensions import TypedDict, Unpack

from assent.codec import codec_for, digest, from_json, signature_of, to_json
from assent.errors import CodecError

T = TypeVar("T")
NOT_UTF8 = b"\xff\x00"
NAIVE = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001 - on purpose


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Size(StrEnum):
    SMALL = "small"


class Rank(IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    raw: bytes
    at: datetime


class Options(TypedDict, total=False):
    raw: bytes
    ratio: float


@dataclass
class Money:
    amount: Decimal
    raw: bytes = b""


@dataclass(frozen=True)
class Tag:
    name: str


class Order(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    id: int
    lines: list[Money] = []
    note: str | None = None


class BigOrder(Order):
    discount: int = 0


class Renamed(BaseModel):
    total: int = Field(validation_alias="in", serialization_alias="out")

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def doubled(self) -> int:
        return self.total * 2


class Box(BaseModel, Generic[T]):
    content: T


class Tags(RootModel[set[str]]):
    pass


class Blob(BaseModel):
    raw: bytes


class FreeBlob(Blob):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Secretive(BaseModel):
    _secret: int = PrivateAttr(default=0)


class Opaque:
    pass


ZONES = st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=-3, minutes=-30)))
MOMENTS = st.datetimes(timezones=ZONES).map(lambda moment: moment.replace(fold=0))
FLOATS = st.floats()
TEXTS = st.text()
MONEY = st.builds(Money, st.decimals(allow_nan=False, allow_infinity=False), st.binary())
ORDERS = st.builds(Order, id=st.integers(), lines=st.lists(MONEY, max_size=3), note=st.none() | TEXTS)
NATIVE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)

SUPPORTED: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: FLOATS,
    bool: st.booleans(),
    str: TEXTS,
    None: st.none(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    datetime: MOMENTS,
    date: st.dates(),
    time: st.times().map(lambda moment: moment.replace(fold=0)),
    timedelta: st.timedeltas(),
    uuid.UUID: st.uuids(),
    Path: TEXTS.filter(lambda text: "\0" not in text).map(Path),
    bytes: st.binary(),
    Colour: st.sampled_from(Colour),
    Size: st.sampled_from(Size),
    Rank: st.sampled_from(Rank),
    Literal["a", 1]: st.sampled_from(["a", 1]),
    Order: ORDERS,
    Money: MONEY,
    Options: st.fixed_dictionaries({}, optional={"raw": st.binary(), "ratio": FLOATS}),
    Point: st.builds(Point, st.integers(), st.binary(), MOMENTS),
    Tags: st.builds(Tags, st.sets(TEXTS)),
    FreeBlob: st.builds(FreeBlob, raw=st.binary()),
    Box[list[Decimal]]: st.builds(
        Box[list[Decimal]], content=st.lists(st.decimals(allow_nan=False, allow_infinity=False))
    ),
    list[Money]: st.lists(MONEY),
    list[bytes]: st.lists(st.binary()),
    deque[int]: st.builds(deque, st.lists(st.integers())),
    OrderedDict[str, int]: st.builds(OrderedDict, st.dictionaries(TEXTS, st.integers())),
    set[str]: st.sets(TEXTS),
    set[float]: st.sets(FLOATS),
    frozenset[Tag]: st.frozensets(st.builds(Tag, TEXTS)),
    tuple[int, str, bytes]: st.tuples(st.integers(), TEXTS, st.binary()),
    tuple[float, ...]: st.lists(FLOATS).map(tuple),
    dict[int, Tag]: st.dictionaries(st.integers(), st.builds(Tag, TEXTS)),
    dict[date, int]: st.dictionaries(st.dates(), st.integers()),
    dict[uuid.UUID, bytes]: st.dictionaries(st.uuids(), st.binary()),
    dict[Size, set[int]]: st.dictionaries(st.sampled_from(Size), st.sets(st.integers())),
    dict[Decimal, int]: st.dictionaries(st.decimals(allow_nan=False, allow_infinity=False), st.integers()),
    datetime | None: st.none() | MOMENTS,
    Order | Money | None: st.none() | ORDERS | MONEY,
    int | str | float: st.integers() | TEXTS | st.floats(allow_nan=False, allow_infinity=False),
    dict[str, list[tuple[Colour, Money | None]]]: st.dictionaries(
        TEXTS, st.lists(st.tuples(st.sampled_from(Colour), st.none() | MONEY), max_size=2), max_size=2
    ),
    Any: NATIVE,
    object: NATIVE,
}


def supported_values() -> st.SearchStrategy[tuple[Any, Any]]:
    return st.sampled_from(list(SUPPORTED)).flatmap(lambda kind: st.tuples(st.just(kind), SUPPORTED[kind]))


@pytest.mark.parametrize("annotation", SUPPORTED, ids=str)
def test_every_supported_annotation_is_tried(annotation: Any) -> None:
    @given(SUPPORTED[annotation])
    def comes_back(value: Any) -> None:
        codec = codec_for(annotation)
        text, copy = codec.round_trip(value)
        assert type(copy) is type(value)
        again, _ = codec.round_trip(codec.decode(text))
        assert from_json(again) == from_json(text) or "set" in str(annotation) or annotation is Tags
        assert codec.canonical(copy) == codec.canonical(value)
        assert rfc8785.dumps(json.loads(codec.canonical(value), parse_int=float)) == codec.canonical(value)

    comes_back()


def shuffled(value: Any, order: Callable[[list[Any]], list[Any]]) -> Any:
    """An equal value whose dicts and sets are filled in another order."""
    match value:
        case dict() if type(value) is dict:
            return {key: shuffled(value[key], order) for key in order(list(value))}
        case set() | frozenset():
            return type(value)(order(list(value)))
        case list():
            return [shuffled(each, order) for each in value]
        case _:
            return value


@given(supported_values(), st.randoms(use_true_random=False))
def test_the_canonical_form_of_equal_values_is_equal(pair: tuple[Any, Any], random: Any) -> None:
    annotation, value = pair
    other = shuffled(value, lambda keys: random.sample(keys, len(keys)))
    codec = codec_for(annotation)
    assert codec.canonical(other) == codec.canonical(value)


@given(NATIVE, NATIVE)
def test_the_canonical_form_of_plain_data_tells_unequal_values_apart(one: Any, other: Any) -> None:
    codec = codec_for(Any)
    if codec.canonical(one) == codec.canonical(other):
        assert from_json(codec.encode(one)) == from_json(codec.encode(other))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXTS,
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS.filter(lambda key: not key.startswith("$")), inner),
    )
)
def test_the_canonical_form_is_rfc_8785(value: Any) -> None:
    assert codec_for(Any).canonical(value) == rfc8785.dumps(value)


def test_numbers_beyond_rfc_8785_are_tagged_and_cannot_be_forged() -> None:
    assert codec_for(int).canonical(2**53) == b'{"$int":"9007199254740992"}'
    assert codec_for(float).canonical(math.nan) == b'{"$float":"nan"}'
    assert codec_for(list[float]).canonical([-math.inf]) == b'[{"$float":"-inf"}]'
    assert codec_for(dict[str, str]).canonical({"$int": "9007199254740992"}) == b'{"$$int":"9007199254740992"}'
    assert codec_for(float).canonical(2**60) == codec_for(float).canonical(2.0**60)


def test_sets_are_sorted_at_every_depth() -> None:
    codec = codec_for(dict[str, list[frozenset[int]]])
    assert codec.canonical({"b": [frozenset({10, 9, 1})], "a": []}) == b'{"a":[],"b":[[1,10,9]]}'


@pytest.mark.parametrize(
    ("annotation", "value", "path", "says"),
    [
        (Order, BigOrder(id=1, discount=3), "the value", "BigOrder"),
        (list[Order], [Order(id=1), BigOrder(id=1)], "[1] in the value", "discriminator"),
        (Any, (1, 2), "the value", "annotate it as tuple"),
        (Any, {"a": [{"b": Decimal(1)}]}, "a[0].b in the value", "decimal.Decimal"),
        (Any, {"x": {1: "a"}}, "x in the value", "has the key 1, a int"),
        (Any, {"a": NAIVE}, "a in the value", "datetime.datetime"),
        (Any, b"x", "the value", "bytes"),
        (Any, math.nan, "the value", "annotate it as float"),
        (Any, Size.SMALL, "the value", "Size"),
        (object, Tag("a"), "the value", "Tag"),
        (Any, Opaque(), "the value", "make it a dataclass or a pydantic model"),
        (list[Any], [1, Opaque()], "[1] in the value", "make it a dataclass or a pydantic model"),
        (int, "3", "the value", "is a str and would come back as a int"),
        (int, 3.0, "the value", "float"),
        (int, True, "the value", "is a bool"),
        (int, Rank.LOW, "the value", "Rank"),
        (str, Size.SMALL, "the value", "Size"),
        (str, 3, "the value", "annotate"),
        (Money, Money("1"), "amount in the value", "is a str and would come back as a decimal.Decimal"),  # type: ignore[arg-type]
        (str | datetime, NAIVE, "the value", "would come back as a str"),
        (datetime | str, "2026-01-01T00:00:00", "the value", "would come back as a datetime.datetime"),
        (str | Path, Path("a"), "the value", "would come back as a str"),
        (float | str, math.nan, "the value", "would come back as a str"),
        (str, "\udc80", "the value", "surrogates"),
        (list[int], [10**5000], "the value", "number out of range"),
        (Decimal, Decimal("NaN"), "the value", "allow_inf_nan"),
        (Blob, Blob(raw=NOT_UTF8), "raw in the value", "ser_json_bytes"),
        (list[Blob], [Blob(raw=b"ok"), Blob(raw=NOT_UTF8)], "[1].raw in the value", "ser_json_bytes"),
        (Box[float], Box[float](content=math.nan), "content in the value", "ser_json_inf_nan"),
        (SecretStr, SecretStr("x"), "the value", "would come back as"),
        (dict[tuple[int, int], int], {(1, 2): 3}, "['1,2']", "as dict[tuple[int, int], int]"),
        (dict[int | str, int], {1: 1, "1": 2}, "the value", "would come back as"),
        (datetime, NAIVE.replace(fold=1), "the value", "fold=1"),
        (time, time(1, tzinfo=ZoneInfo("Europe/Berlin")), "the value", "would come back as"),
        (Opaque, Opaque(), "the value", "no JSON form"),
        (Callable[[], int], lambda: 1, "the value", "Remedy"),
        (list["Unheard"], [], "the value", "Unheard"),  # type: ignore[name-defined]  # noqa: F821 - on purpose
    ],
)
def test_what_cannot_come_back_is_refused_with_place_type_and_remedy(
    annotation: Any, value: Any, path: str, says: str
) -> None:
    for attempt in (codec_for(annotation).round_trip, codec_for(annotation).canonical):
        with pytest.raises(CodecError) as caught:
            attempt(value)
        assert str(caught.value).startswith(path), str(caught.value)
        assert says in str(caught.value)
        assert "Remedy: " in str(caught.value)


def test_an_integer_too_long_for_json_is_refused() -> None:
    for annotation in (int, Decimal | int, Any):
        with pytest.raises(CodecError, match=r"digits|out of range"):
            codec_for(annotation).round_trip(10**5000)


def test_an_int_is_welcome_where_a_float_is_annotated() -> None:
    text, copy = codec_for(list[float]).round_trip([3])
    assert (text, copy, type(copy[0])) == ("[3.0]", [3.0], float)
    with pytest.raises(CodecError, match="would come back as"):
        codec_for(float | None).round_trip(2**53 + 1)


def test_aliases_and_computed_fields_do_not_stand_in_the_way() -> None:
    text, copy = codec_for(Renamed).round_trip(Renamed.model_validate({"in": 3}))
    assert (text, copy.total) == ('{"total":3}', 3)


def test_private_attributes_are_state() -> None:
    codec = codec_for(Secretive)
    codec.round_trip(Secretive())
    changed = Secretive()
    changed._secret = 1
    with pytest.raises(CodecError, match="_secret in the value"):
        codec.round_trip(changed)


def test_objects_without_an_equality_of_their_own_are_compared_by_their_attributes() -> None:
    class Temperature:
        __slots__ = ("degrees", "unit")

        def __init__(self, degrees: float, unit: str = "C") -> None:
            self.degrees, self.unit = degrees, unit

    written = Annotated[
        Temperature,
        PlainValidator(lambda given: Temperature(float(given))),
        PlainSerializer(lambda given: given.degrees),
    ]
    codec = codec_for(written)
    assert codec.round_trip(Temperature(math.nan))[1].unit == "C"
    with pytest.raises(CodecError, match="unit in the value is the str 'F' and would come back as 'C'"):
        codec.round_trip(Temperature(3.0, "F"))


def test_circles_and_answers_that_are_no_booleans_end_in_a_refusal() -> None:
    class Moody:
        def __eq__(self, other: object) -> Any:
            return [True]

        __hash__ = None  # type: ignore[assignment]  # as for arrays

    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(CodecError):
        codec_for(Any).round_trip(circle)
    odd = Annotated[Moody, PlainValidator(lambda _: Moody()), PlainSerializer(lambda _: 1)]
    with pytest.raises(CodecError, match="would come back as"):
        codec_for(odd).round_trip(Moody())


def test_a_validator_that_raises_anything_is_reported_as_a_codec_error() -> None:
    def fail(_: Any) -> Any:
        raise KeyError("configuration")

    with pytest.raises(CodecError, match="cannot be read back from JSON"):
        codec_for(Annotated[int, PlainValidator(fail)]).decode("1")


def test_equal_annotations_that_read_differently_have_codecs_of_their_own() -> None:
    assert codec_for(str | datetime) is not codec_for(datetime | str)
    assert codec_for(list[int]) is codec_for(list[int])
    assert codec_for(Annotated[int, ["not hashable"]]).round_trip(3) == ("3", 3)


def test_our_own_facts_are_compact_json() -> None:
    facts = {"at": datetime(2026, 1, 2, tzinfo=UTC), "sum": Decimal("1.10"), "tag": Tag("a"), "raw": NOT_UTF8}
    assert to_json(facts) == '{"at":"2026-01-02T00:00:00Z","sum":"1.10","tag":{"name":"a"},"raw":"_wA="}'
    assert from_json('{"a":[1,2.5,null]}') == {"a": [1, 2.5, None]}
    assert digest("ä") == digest("ä".encode())
    assert len(digest("")) == 64


# Signatures.


NOTHING: Any = None  # many write `note: str = None`, and mean it


def pay(order: Order, amount: "Decimal" = Decimal("1.50"), *, note: str = NOTHING) -> "list[Money]":
    return []


def everything(a: int, /, b: int, *rest: int, c: int = 3, **options: str) -> None: ...


class Desk:
    def handle(self, order: Order, urgent: bool = False) -> None: ...


def test_positional_and_keyword_arguments_bind_alike() -> None:
    signature, order = signature_of(pay), Order(id=1)
    bound = {"order": order, "amount": Decimal(2), "note": None}
    assert signature.bind((order, Decimal(2)), {}) == bound
    assert signature.bind((order,), {"amount": Decimal(2)}) == bound
    assert list(signature.bind((), {"note": None, "amount": Decimal(2), "order": order})) == ["order", "amount", "note"]


def plain(order: int, amount: int = 2, *, note: int = 3) -> dict[str, Any]:
    return locals()


def mixed(a: int, /, b: int, *rest: int, c: int = 3, **options: int) -> dict[str, Any]:
    return locals()


def optional(a: int = 1, /, **rest: int) -> dict[str, Any]:
    return locals()


ARGUMENTS = st.lists(st.integers(), max_size=4).map(tuple)
KEYWORDS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "rest", "options", "order", "amount", "note"]), st.integers()
)


@given(st.sampled_from([plain, mixed, optional]), ARGUMENTS, KEYWORDS)
def test_binding_and_spreading_are_what_the_call_itself_would_do(
    fn: Callable[..., dict[str, Any]], args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    try:
        seen = fn(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError, match=rf"^{fn.__name__}\(\) "):
            signature_of(fn).bind(args, kwargs)
        return
    bound = signature_of(fn).bind(args, kwargs)
    assert bound == seen
    assert list(bound) == list(inspect.signature(fn).parameters)
    again, named = signature_of(fn).spread(bound)
    assert fn(*again, **named) == seen


def test_arguments_cross_as_one_object_by_parameter_name() -> None:
    signature = signature_of(everything)
    bound = signature.bind((1, 2, 3, 4), {"x": "y"})
    text, fresh = signature.live(bound)
    assert text == '{"a":1,"b":2,"rest":[3,4],"c":3,"options":{"x":"y"}}'
    assert fresh == bound == signature.decode(text)
    assert signature.spread(fresh) == ((1, 2, 3, 4), {"c": 3, "x": "y"})


def test_json_by_name_is_read_as_the_types_of_the_parameters() -> None:
    def pay(amount: Decimal, to: str = "Acme", **options: int) -> None: ...

    signature = signature_of(pay)
    assert signature.names == ("amount", "to", "options")
    given = signature.read({"amount": "1.50", "fast": 1})
    assert signature.bind((), given) == {"amount": Decimal("1.50"), "to": "Acme", "options": {"fast": 1}}
    with pytest.raises(CodecError, match=r"amount of pay\(\)"):
        signature.read({"amount": "much"})


def test_the_live_copy_shares_nothing_with_the_callers_values() -> None:
    signature, order = signature_of(pay), Order(id=1, lines=[Money(Decimal(1), NOT_UTF8)])
    text, fresh = signature.live(signature.bind((order,), {}))
    assert text == '{"order":{"id":1,"lines":[{"amount":"1","raw":"_wA="}],"note":null},"amount":"1.50","note":null}'
    assert fresh["order"] == order
    assert fresh["order"].lines is not order.lines
    assert signature.encode(fresh) == text


def test_the_digest_of_a_call_depends_on_its_values_alone() -> None:
    signature = signature_of(pay)
    one = signature.bind((Order(id=1),), {"amount": Decimal(2)})
    other = signature.bind((), {"amount": Decimal(2), "order": Order(id=1)})
    assert signature.digest(one) == signature.digest(other) == digest(signature.canonical(one))
    assert signature.digest(one) != signature.digest({**one, "amount": Decimal(3)})


def test_what_is_wrong_with_a_call_is_told_by_function_and_parameter() -> None:
    with pytest.raises(CodecError, match=r"^order in the arguments of pay\(\) is a .*BigOrder"):
        signature_of(pay).encode(signature_of(pay).bind((BigOrder(id=1),), {}))
    with pytest.raises(CodecError, match=r"^\[0\].amount in the result of pay\(\) is a str"):
        signature_of(pay).returns.round_trip([Money("1")])  # type: ignore[arg-type]


def test_a_bound_method_has_no_self() -> None:
    desk = Desk()
    assert signature_of(desk.handle).bind((Order(id=1),), {}) == {"order": Order(id=1), "urgent": False}
    assert signature_of(desk.handle) is signature_of(desk.handle)


def test_other_callables_have_signatures_too() -> None:
    class Callee:
        def __call__(self, at: datetime) -> date:
            return at.date()

    moment = NAIVE
    for fn in (Callee(), functools.partial(Callee.__call__, Callee())):
        signature = signature_of(fn)
        assert signature.decode(signature.encode(signature.bind((moment,), {}))) == {"at": moment}
    assert signature_of(Tag).encode({"name": "a"}) == '{"name":"a"}'
    with pytest.raises(CodecError, match="wrap it in a function of your own"):
        signature_of(type)


def test_hints_that_cannot_be_resolved_hinder_no_call_and_are_named_when_a_value_crosses() -> None:
    def lost(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - on purpose

    signature = signature_of(lost)
    assert signature.bind((1,), {}) == {"value": 1}
    with pytest.raises(CodecError, match=r"'Nowhere' in an annotation of lost\(\) cannot be resolved"):
        signature.encode({"value": 1})


def test_unannotated_parameters_take_plain_data() -> None:
    def loose(a, *args, **kwargs):  # type: ignore[no-untyped-def]
        return a

    signature = signature_of(loose)
    bound = signature.bind(([1, {"b": None}], "x"), {"k": 2.5})
    assert signature.live(bound)[1] == bound
    with pytest.raises(CodecError, match=r"a in the arguments of loose\(\)"):
        signature.encode(signature.bind((Decimal(1),), {}))


def test_keywords_typed_one_by_one_keep_their_types() -> None:
    def typed(**options: Unpack[Options]) -> None: ...

    signature = signature_of(typed)
    bound = signature.bind((), {"raw": NOT_UTF8, "ratio": math.inf})
    assert signature.spread(signature.live(bound)[1]) == ((), {"raw": NOT_UTF8, "ratio": math.inf})
