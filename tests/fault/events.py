"""The events that are posted: emissions of three kinds, a tick for each, bad ones, and events again.
All of it follows from a seed and a client's number."""

import json
import random

import pipeline

KEYS_EACH = 10_000_000  # keys of one client
KINDS = ("pin", "geo", "user", "tick")


def bad_ones(token):
    """(kind, raw text, code of the dead letter); the token stands in each text."""
    return (
        ("pin", f'{{"title":"{token}"}}', "MISSING_FIELD"),
        ("pin", f'{{"index":"seven","title":"{token}"}}', "WRONG_TYPE"),
        ("pin", f'{{"index":9223372036854775808,"title":"{token}"}}', "OUT_OF_RANGE"),
        ("pin", f'{{"index":7,"index":7,"title":"{token}"}}', "DUPLICATE_FIELD"),
        ("pin", f'{{"index":7,"title":"{token}","follower_count":"many"}}', "RULE_FAILED"),
        ("geo", f'{{"ind":7,"latitude":91,"country":"{token}"}}', "OUT_OF_RANGE"),
        ("geo", f'{{"ind":7,"timestamp":"soon","country":"{token}"}}', "BAD_TIME"),
        ("user", f'["{token}"]', "NOT_ONE_OBJECT"),
        ("user", f'not json: {token}', "NOT_JSON"),
        ("tick", f'{{"ind":7,"token":"{token}","more":1}}', "UNKNOWN_FIELD"),
    )


def another(kind, token):
    """A good record that nobody has posted."""
    key, text = {"pin": ("index", "title"), "geo": ("ind", "country"),
                 "user": ("ind", "first_name"), "tick": ("ind", "token")}[kind]
    return json.dumps({key: 7, text: token})


class Posts:
    """What one client posts.  A post is a request: events of one kind in the form of a dialect,
    under an Idempotency-Key or none, and the code that they are dead of or none."""

    def __init__(self, seed, client, bodies):
        self.random = random.Random(f"{seed}/{client}")
        self.client, self.bodies, self.number, self.rows = client, bodies, 0, 0

    def post(self, kind, texts, **more):
        self.number += 1
        key = f"c{self.client}-{self.number}" if self.random.random() < 0.5 else None
        return {"post": self.number, "kind": kind, "key": key, "code": None, "events": texts,
                "dialect": self.random.choice(("rest", "events", "kinesis"))} | more

    def emission(self):
        """A record of each kind under a new key."""
        row = self.client * KEYS_EACH + self.rows
        body = self.random.choice(self.bodies)
        self.rows += 1
        records = {"pin": body["pin"] | {"index": row}, "geo": body["geo"] | {"ind": row},
                   "user": body["user"] | {"ind": row},
                   "tick": {"ind": row, "token": f"c{self.client}-{row}"}}
        return {kind: json.dumps(record) for kind, record in records.items()}

    def next(self):
        """Posts that belong together: some emissions, and now and then something special."""
        emissions = [self.emission() for _ in range(self.random.randint(1, 8))]
        posts = [self.post(kind, [emission[kind] for emission in emissions]) for kind in KINDS]
        if self.random.random() < 0.1:
            posts.append(self.again(self.random.choice(posts)))
        if self.random.random() < 0.1:
            posts.append(self.bad())
        keyed = [post for post in posts if post["key"] and post["code"] is None]
        if keyed and self.random.random() < 0.05:
            posts.append(self.reused(self.random.choice(keyed)))
        return posts

    def token(self):
        return f"bad-c{self.client}-{self.number}-"

    def again(self, post):
        """The same events: the same request under its key, or a new one without."""
        self.number += 1
        return post | {"post": self.number}

    def bad(self):
        kind, text, code = self.random.choice(bad_ones(self.token()))
        raw = {"dialect": "events"} if code in ("NOT_JSON", "NOT_ONE_OBJECT") else {}
        return self.post(kind, [text], code=code, **raw)

    def reused(self, post):
        """Another event under a key that was used: 409, or dead."""
        self.number += 1
        return post | {"post": self.number, "code": "ID_REUSED",
                       "events": [another(post["kind"], self.token())]}


def bodies():
    """Records to take the columns from; their keys are replaced."""
    return pipeline.made_up(400)
