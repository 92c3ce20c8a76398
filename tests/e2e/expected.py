"""What must come out, computed in plain Python from the records that were posted, and from nothing
that millrace made."""

import csv
import io
import statistics
from collections import Counter, defaultdict
from datetime import datetime, timezone

MISSING = {
    "title": {"No Title Data Available", ""},
    "description": {
        "No description available Story format", "No description available", "Untitled", ""},
    "poster_name": {"User Info Error", ""},
    "follower_count": {"User Info Error", ""},
    "tag_list": {"N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e", ""},
    "image_src": {"Image src error.", ""},
}
FACTOR = {"k": 1000, "M": 1000000}


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def count(text):
    if text is None:
        return None
    if text[-1] in FACTOR:
        return int(text[:-1]) * FACTOR[text[-1]]
    return int(text)


def clean_pin(raw):
    row = {name: None if raw[name] in MISSING.get(name, ()) else raw[name]
           for name in ("unique_id", "title", "description", "follower_count", "poster_name",
                        "tag_list", "is_image_or_video", "image_src", "save_location", "category")}
    row["follower_count"] = count(row["follower_count"])
    row["save_location"] = row["save_location"].removeprefix("Local save in ")
    return {"ind": raw["index"], **row}


def clean_geo(raw):
    return {"ind": raw["ind"], "country": raw["country"],
            "coordinates": [float(raw["latitude"]), float(raw["longitude"])],
            "timestamp": moment(raw["timestamp"])}


def clean_user(raw):
    return {"ind": raw["ind"], "user_name": raw["first_name"] + " " + raw["last_name"],
            "age": raw["age"], "date_joined": moment(raw["date_joined"])}


CLEAN = {"pin": clean_pin, "geo": clean_geo, "user": clean_user}
KINDS = tuple(CLEAN)


def tables(emissions):
    """The three tables: by key, the first row of each."""
    result = {}
    for kind, clean in CLEAN.items():
        rows = {}
        for emission in emissions:
            row = clean(emission[kind])
            assert rows.setdefault(row["ind"], row) == row, "one key with two different rows"
        result[kind] = rows
    return result


def law(emissions):
    """in, good, repeated of one kind: each number once is good, the others are repeats."""
    distinct = len({emission["geo"]["ind"] for emission in emissions})
    return {"in": len(emissions), "good": distinct, "repeated": len(emissions) - distinct,
            "dead": 0}


# ---- the eight questions ----

def age_group(age):
    for name, first, last in (("18-24", 18, 24), ("25-35", 25, 35), ("36-50", 36, 50)):
        if first <= age <= last:
            return name
    return "50+" if age > 50 else None


def lower_median(values):
    return sorted(values)[(len(values) + 1) // 2 - 1]


def tops(counter):
    """{(group, thing): number} -> rows of the largest number of each group, ties kept."""
    best = defaultdict(int)
    for (group, _), number in counter.items():
        best[group] = max(best[group], number)
    return [(group, thing, number) for (group, thing), number in counter.items()
            if number == best[group]]


def medians(pairs, median):
    groups = defaultdict(list)
    for group, followers in pairs:
        if followers is not None:
            groups[group].append(followers)
    return {group: median(values) for group, values in groups.items()}


HEADERS = {
    "q1": ("country", "category", "category_count"),
    "q2": ("post_year", "category", "category_count"),
    "q2_top": ("post_year", "category", "category_count"),
    "q3a": ("country", "poster_name", "follower_count"),
    "q3b": ("country", "follower_count"),
    "q4": ("age_group", "category", "category_count"),
    "q5": ("age_group", "median_follower_count"),
    "q6": ("post_year", "number_users_joined"),
    "q7": ("post_year", "median_follower_count"),
    "q8": ("age_group", "post_year", "median_follower_count"),
}


def answers(emissions, median=statistics.median):
    """{question: rows}, in the stated order; columns as in HEADERS."""
    pin, geo, user = (tables(emissions)[kind] for kind in KINDS)
    posts = [(row, geo[ind]) for ind, row in pin.items() if ind in geo]
    people = [(row, user[ind]) for ind, row in pin.items() if ind in user]
    in_year = Counter((place["timestamp"].year, post["category"]) for post, place in posts
                      if 2018 <= place["timestamp"].year <= 2022)
    followers = {}
    for post, place in posts:
        if post["follower_count"] is not None:
            who = place["country"], post["poster_name"]
            followers[who] = max(followers.get(who, 0), post["follower_count"])
    most = max(followers.values(), default=None)
    joined = [(person["date_joined"].year, age_group(person["age"]), post["follower_count"])
              for post, person in people if 2015 <= person["date_joined"].year <= 2020]
    by_age = medians([(age_group(person["age"]), post["follower_count"])
                      for post, person in people], median)
    by_year = medians([(year, number) for year, _, number in joined], median)
    by_both = medians([((group, year), number) for year, group, number in joined], median)
    result = {
        "q1": tops(Counter((place["country"], post["category"]) for post, place in posts)),
        "q2": [(year, category, number) for (year, category), number in in_year.items()],
        "q2_top": tops(in_year),
        "q3a": tops(followers),
        "q3b": {(country, most) for (country, _), number in followers.items() if number == most},
        "q4": tops(Counter((age_group(person["age"]), post["category"])
                           for post, person in people)),
        "q5": by_age.items(),
        "q6": Counter(person["date_joined"].year for person in user.values()
                      if 2015 <= person["date_joined"].year <= 2020).items(),
        "q7": by_year.items(),
        "q8": [(*both, number) for both, number in by_both.items()],
    }
    return {name: sorted(rows, key=order) for name, rows in result.items()}


def order(row):
    """By the columns from the left; text by its bytes, NULL last."""
    return [(value is None, value.encode() if isinstance(value, str) else value or 0)
            for value in row]


# ---- as CSV ----

def csv_text(name, rows):
    """RFC 4180, LF, header, NULL empty, whole numbers without point, others as short as exact."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADERS[name])
    for row in rows:
        writer.writerow([int(value) if isinstance(value, float) and value == int(value) else value
                         for value in row])
    return out.getvalue()
