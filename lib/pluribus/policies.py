"""Policies: what a shop's publisher, reader and collector may do in an S3 bucket, as AWS wants it said.

The shop's name ends in a slash wherever it stands: "shop1*" would be shop10's too. With `tag`, one policy serves every
shop: AWS puts the session's own tag in the name's place.
"""

from collections.abc import Mapping
from typing import Any, Literal

Role = Literal["publisher", "reader", "collector"]
Document = dict[str, Any]

#: Role -> what it may do to objects under which part of the shop; its own listing comes on top.
OBJECTS: Mapping[Role, Mapping[str, tuple[str, ...]]] = {
    "publisher": {"*": ("s3:GetObject", "s3:PutObject")},
    "reader": {"*": ("s3:GetObject",)},
    "collector": {
        "*": ("s3:GetObject",),
        "CURRENT": ("s3:PutObject",),
        "releases/*": ("s3:DeleteObject",),
    },
}


def of_shop(role: Role, *, bucket: str, prefix: str, shop: str = "", tag: str = "") -> Document:
    """The policy of one role at one shop, or at the shop that the session's `tag` names."""
    whose = f"${{aws:PrincipalTag/{tag}}}" if tag else shop
    root = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    own, models = f"{root}shops/{whose}/", f"{root}models/"
    arn = f"arn:aws:s3:::{bucket}"
    statements: list[Document] = [
        {"Effect": "Allow", "Action": list(actions), "Resource": f"{arn}/{own}{part}"}
        for part, actions in OBJECTS[role].items()
    ]
    statements += [
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": f"{arn}/{models}*"},
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],  # else an absent object is answered "access denied"
            "Resource": arn,
            "Condition": {"StringLike": {"s3:prefix": [f"{own}*", f"{models}*"]}},
        },
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def of_bucket(*, bucket: str, prefix: str) -> Document:
    """The bucket's own policy: nobody writes without a condition, and nothing goes over an open line.

    Pieces of a multipart upload cannot carry conditions, and `ObjectCreationOperation` leaves them out.
    """
    root = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    arn = f"arn:aws:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyConditionalWrites",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": f"{arn}/{root}shops/*",
                "Condition": {
                    "Null": {"s3:if-match": "true", "s3:if-none-match": "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"},
                },
            },
            {
                "Sid": "OnlyEncryptedLines",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }
