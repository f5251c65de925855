"""Two projects: neither sees, changes, counts, or can tell the existence of anything of the other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.registry import ACTIONS
from tests.properties.tenants import NAMES, POSTED, SILENT, Step, Tenants, Who
from tests.support.client import Client
from tests.support.gateway import Gateway, start_gateway
from tests.support.tokens import Issuer

ISSUER = Issuer.new("HS256")

PAIRS = [
    ("a", "b"),
    ("a", "a.q"),  # with the queue q.r and r: the same when glued together
    ("a.q", "a"),
    ("a", "A"),
    ("a", "a "),
    ("a", " a"),
    ("a", "a."),
    ("a{q}", "a"),
    ("{a}", "a"),
    ("a", "a:q"),
    ("a", "a/q"),
    ("a", "a/../a"),
    ("a", "a%20"),
    ("a", "a*"),
    ("a", "a%"),
    ("a", "_"),
    ("a", "a'"),
    ("a", r"a\n"),
    ("\u00e9", "e\u0301"),
    ("ß", "ss"),
    ("x" * 220, "x" * 219 + "y"),
    ("x" * 220, "x" * 219),
]
"""Projects that some store, database or pattern could take for one."""

CRAFTED = st.text(st.sampled_from("aA.q{}/:%_*' \\-é"), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Three gateways that know nothing of each other."""
    with ExitStack() as closing:
        running: list[Gateway] = []
        for number in range(3):
            folder = tmp_path_factory.mktemp(f"tenants-{number}")
            (folder / "keys").write_text("the same key for all three of them")
            arguments = [
                *ISSUER.arguments(folder),
                "--signing-key-file",
                str(folder / "keys"),
                "--fsync",
                "everysec",
            ]
            running.append(closing.enter_context(start_gateway(folder / "data", *arguments)))
        yield [gateway.url for gateway in running]


def steps() -> st.SearchStrategy[list[Step]]:
    """Requests of both: half of them make or read something, the others try any action with any id."""
    who: st.SearchStrategy[Who] = st.sampled_from(["one", "two"])
    usual = st.sampled_from(
        ["message_post", "message_post", "claim_create", "subscription_create", "queue_create"]
    )
    any_action = st.sampled_from(sorted(set(ACTIONS) - {"authenticate"}))
    making = st.builds(
        Step,
        who,
        usual,
        st.integers(0, len(POSTED) + 1),
        st.booleans(),
        st.integers(0, 40),
        st.integers(0, 5),
    )
    trying = st.builds(
        Step,
        who,
        any_action,
        st.integers(0, len(NAMES) - 1),
        st.sampled_from([True, True, False]),
        st.integers(0, 40),
        st.integers(0, 5),
        st.sampled_from([False] * 9 + [True]),
    )
    return st.lists(making | trying, min_size=10, max_size=50)


def play(urls: list[str], pair: tuple[str, str], wanted: list[Step]) -> None:
    """Do all of it, in projects that no other example has."""
    fresh = uuid.uuid4().hex[:16]
    projects: dict[Who, str] = {"one": f"{fresh}{pair[0]}", "two": f"{fresh}{pair[1]}"}
    with Tenants(ISSUER, urls[0], {"one": urls[1], "two": urls[2]}, projects) as tenants:
        for step in wanted:
            tenants.do(step)
        tenants.compare_pushes()


LIMITS = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.mark.timeout(900)
@LIMITS
@given(st.sampled_from(PAIRS) | st.tuples(CRAFTED, CRAFTED).filter(lambda pair: pair[0] != pair[1]), steps())
def test_projects_cannot_tell_that_there_are_others(
    urls: list[str], pair: tuple[str, str], wanted: list[Step]
) -> None:
    play(urls, pair, wanted)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("pair", PAIRS, ids=ascii)
def test_every_action_with_every_id_of_the_other(urls: list[str], pair: tuple[str, str]) -> None:
    made = [
        Step(who, action, queue, False, 0, number)
        for who in SILENT
        for action, number in [
            *(("message_post", 1), ("message_post", 2), ("claim_subscribe", 0), ("claim_create", 0)),
            *(("subscription_create", 0), ("subscription_create", 1), ("message_list", 0)),
        ]
        for queue in range(2)
    ]
    fresh = uuid.uuid4().hex[:16]
    projects: dict[Who, str] = {"one": f"{fresh}{pair[0]}", "two": f"{fresh}{pair[1]}"}
    with Tenants(ISSUER, urls[0], {"one": urls[1], "two": urls[2]}, projects) as tenants:
        for step in made:
            tenants.do(step)
        for action in sorted(set(ACTIONS) - {"authenticate"}):
            for known in range(min(len(tenants.together["two"].ids), 16)):
                tenants.do(Step("one", action, known % 2, True, known, known // 2 % 2))
            tenants.do(Step("one", action, 0, True, 0, 0, pretend=True))
        for action in ("queue_list", "message_list", "queue_get_stats", "subscription_list", "claim_create"):
            for who in SILENT:
                tenants.do(Step(who, action, 0, False, 0, 0))
        tenants.compare_pushes()


@pytest.mark.parametrize("project", ["a\nb", "a\0", "a\x7f", "\x1b[2J", "", "x" * 257])
@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_projects_that_there_cannot_be(gateway: Gateway, project: str, form: str) -> None:
    with Client(gateway.url, project=project, form="json" if form == "json" else "msgpack") as client:
        assert client.request("queue_create", {"queue_name": "q"}).status == 400
        assert client.request("queue_list", {}).status == 400


def test_half_surrogate_pairs_are_no_project(gateway: Gateway) -> None:
    with Client(gateway.url, project="a\ud800") as client:  # as JSON: an escape
        assert client.request("queue_list", {}).status == 400


@pytest.mark.parametrize("project", ["a\nb", "a\0", "", "x" * 257])
def test_tokens_for_projects_that_there_cannot_be(urls: list[str], project: str) -> None:
    with Client(urls[0], project=project) as client:
        token = ISSUER.token(project=project)
        assert client.request("authenticate", {}, {"X-Auth-Token": token}).status in (400, 401)
        assert client.request("queue_list", {}).status in (400, 403)
