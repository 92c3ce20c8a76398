"""From posts to answers on real Kafka and a real S3 server, without any fault."""

import csv
import random

import expected
import pipeline

POSTED = {kind: 1333 for kind in expected.KINDS}
PUBLISHED = {
    "q1": "q1_top_category_per_country_all_ties", "q2": "q2_posts_per_year_category",
    "q2_top": "q2_top_per_year_all_ties", "q3a": "q3_max_followers_per_country_all_ties",
    "q3b": "q3b_country_of_max_all_ties", "q4": "q4_top_category_per_age_group_all_ties",
    "q5": "q5_median_by_age_group", "q6": "q6_users_joined", "q7": "q7_median_by_join_year",
    "q8": "q8_median_by_join_year_age_group",
}


def rows(text):
    return list(csv.reader(text.splitlines()))[1:]


def test_emulated_rows_are_those_of_the_well_known_script():
    rng = random.Random(100)
    drawn = [(rng.randrange(0, 2), rng.randint(0, 11000))[1] for _ in range(2000)]
    emissions = pipeline.made_up(2000)
    assert [emission["pin"]["index"] for emission in emissions] == drawn
    assert drawn[:3] == [7528, 2863, 5730]
    assert all(emission["pin"]["index"] == emission["geo"]["ind"] == emission["user"]["ind"]
               for emission in emissions)


def test_first_139_real_emissions_give_the_published_answers(up, real):
    tenant, emissions = "0a1b2c3d4e5f", real[:139]
    up.play(emissions, tenant)
    totals = up.await_done(tenant, {kind: 139 for kind in expected.KINDS})
    for name, file in PUBLISHED.items():
        published = rows((pipeline.PUBLISHED / f"{file}.csv").read_text())
        if name == "q8":  # published with the year first
            published = sorted([group, year, median] for year, group, median in published)
        assert rows(up.query(tenant, "--median", "lower", name)) == published, name
    pipeline.check_all(up, tenant, emissions, totals)


def test_1333_real_emissions_give_what_plain_python_gives(up, real):
    up.play(real, "12b287eedf6d")
    totals = up.await_done("12b287eedf6d", POSTED)
    assert totals["pin"]["good"] == 1249 and totals["pin"]["repeated"] == 84
    pipeline.check_all(up, "12b287eedf6d", real, totals)


def test_1333_made_up_emissions_give_what_plain_python_gives(up):
    up.millrace("emulate", "--fast", "--count", 1333, tenant="made-up")
    totals = up.await_done("made-up", POSTED)
    pipeline.check_all(up, "made-up", pipeline.made_up(1333), totals)
