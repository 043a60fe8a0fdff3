"""AWS policies by a small simulator: what each role may do at its own shop, and nothing at any other."""

import json
import re
from itertools import product
from typing import Any

import pytest
from test_isolation import SHOPS
from typer.testing import CliRunner

from pluribus import policies
from pluribus.cli import app

BUCKET, PREFIX = "shops-of-all", "fleet/prod"
WHERE = {"bucket": BUCKET, "prefix": PREFIX}
OBJECTS = ["CURRENT", "releases/1/_MANIFEST.json", "snapshots/s/rows.parquet", "feeds/f.csv"]


def matches(pattern: str, text: str, tags: dict[str, str]) -> bool:
    """IAM's wildcards, once its variables are filled in; a variable without a value matches nothing."""
    unknown = [name for name in re.findall(r"\$\{aws:PrincipalTag/([^}]+)\}", pattern) if name not in tags]
    for name, value in tags.items():
        pattern = pattern.replace(f"${{aws:PrincipalTag/{name}}}", value)
    parts = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    return not unknown and re.fullmatch(".*".join(parts), text, re.DOTALL) is not None


def applies(
    statement: dict[str, Any], action: str, resource: str, context: dict[str, str], tags: dict[str, str]
) -> bool:
    listed = lambda value: value if isinstance(value, list) else [value]
    if not any(matches(pattern, action, {}) for pattern in listed(statement["Action"])):
        return False
    if not any(matches(pattern, resource, tags) for pattern in listed(statement["Resource"])):
        return False
    for kind, conditions in statement.get("Condition", {}).items():
        for key, wanted in conditions.items():
            held = {
                "Null": lambda k=key, w=wanted: (k not in context) == (w == "true"),
                "Bool": lambda k=key, w=wanted: context.get(k) == w,
                "StringLike": lambda k=key, w=wanted: any(matches(p, context.get(k, "\0"), tags) for p in listed(w)),
            }[kind]()
            if not held:
                return False
    return True


def allowed(
    documents: list[Any], action: str, resource: str, context: dict[str, str] | None = None, **tags: str
) -> bool:
    """Denied unless allowed; denied whenever denied."""
    arn = f"arn:aws:s3:::{BUCKET}" + (f"/{resource}" if resource else "")
    effects = [
        statement["Effect"]
        for document in documents
        for statement in document["Statement"]
        if applies(statement, action, arn, context or {}, tags)
    ]
    return "Allow" in effects and "Deny" not in effects


ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectAcl"]
IF = {"s3:if-match": '"x"', "s3:ObjectCreationOperation": "true", "aws:SecureTransport": "true"}


@pytest.mark.parametrize("role", policies.OBJECTS)
@pytest.mark.parametrize("by_tag", [False, True])
def test_a_role_reaches_its_own_shop_and_no_other(role: policies.Role, by_tag: bool) -> None:
    wanted = {"publisher": {"s3:GetObject", "s3:PutObject"}, "reader": {"s3:GetObject"}}.get(role)
    crossed = 0
    for one, other in product(SHOPS, SHOPS):
        whose = {"tag": "shop"} if by_tag else {"shop": one}
        documents = [policies.of_shop(role, **WHERE, **whose), policies.of_bucket(**WHERE)]
        tags = {"shop": one} if by_tag else {}
        may = {
            (action, key)
            for action, key in product(ACTIONS, OBJECTS)
            if allowed(documents, action, f"{PREFIX}/shops/{other}/{key}", IF, **tags)
        }
        lists = allowed(documents, "s3:ListBucket", "", {"s3:prefix": f"{PREFIX}/shops/{other}/releases/"}, **tags)
        if one != other:
            crossed += len(may) + lists
        elif wanted:
            assert may == set(product(wanted, OBJECTS))
            assert lists
        else:
            assert may == {("s3:GetObject", key) for key in OBJECTS} | {
                ("s3:PutObject", "CURRENT"), ("s3:DeleteObject", "releases/1/_MANIFEST.json")
            }  # fmt: skip
    assert crossed == 0


def test_no_listing_reaches_above_a_shop() -> None:
    document = [policies.of_shop("reader", **WHERE, shop="shop1")]
    for prefix in ("", f"{PREFIX}/", f"{PREFIX}/shops/", f"{PREFIX}/shops/shop1"):
        assert not allowed(document, "s3:ListBucket", "", {"s3:prefix": prefix})
    assert not allowed(document, "s3:ListBucket", "")


def test_a_session_without_the_tag_reaches_nothing() -> None:
    document = [policies.of_shop("publisher", **WHERE, tag="shop")]
    assert not any(allowed(document, "s3:GetObject", f"{PREFIX}/shops/{shop}/CURRENT") for shop in SHOPS)
    assert allowed(document, "s3:GetObject", f"{PREFIX}/shops/a/CURRENT", shop="a")


def test_nobody_writes_without_a_condition() -> None:
    documents = [policies.of_shop("publisher", **WHERE, shop="a"), policies.of_bucket(**WHERE)]
    bare = {"s3:ObjectCreationOperation": "true", "aws:SecureTransport": "true"}
    key = f"{PREFIX}/shops/a/CURRENT"
    assert not allowed(documents, "s3:PutObject", key, bare)
    assert allowed(documents, "s3:PutObject", key, bare | {"s3:if-none-match": "*"})
    assert allowed(documents, "s3:PutObject", key, bare | {"s3:if-match": "x"})
    assert allowed(documents, "s3:PutObject", key, {"s3:ObjectCreationOperation": "false"})  # a piece of an upload
    assert not allowed(documents, "s3:GetObject", key, {"aws:SecureTransport": "false"})


def test_the_simulator_sees_the_classic_mistake() -> None:
    """Without its slash, shop1's policy would be shop10's too."""
    text = json.dumps(policies.of_shop("reader", **WHERE, shop="shop1")).replace("shops/shop1/*", "shops/shop1*")
    assert allowed([json.loads(text)], "s3:GetObject", f"{PREFIX}/shops/shop10/CURRENT")


def test_the_verb_prints_what_aws_takes() -> None:
    run = lambda *a: CliRunner().invoke(app, ["--store", "s3://shops-of-all/fleet", "policy", *a])
    told = json.loads(run("atelier", "--role", "publisher").stdout)
    assert told == policies.of_shop("publisher", bucket=BUCKET, prefix="fleet", shop="atelier")
    assert json.loads(run("--tag", "shop").stdout) == policies.of_shop(
        "reader", bucket=BUCKET, prefix="fleet", tag="shop"
    )
    assert json.loads(run("--whole-bucket").stdout) == policies.of_bucket(bucket=BUCKET, prefix="fleet")
    for bad in (("../x",), ("a*",), ("",), ("a", "--role", "root"), ("a", "--bucket", "/tmp"), ("--tag", "x}*")):
        assert run(*bad).exit_code != 0
