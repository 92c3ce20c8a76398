#!/usr/bin/env python3
"""Reads a Delta table with delta-rs and with DuckDB's delta extension and compares every row with
what it must hold: NDJSON, one object a row, timestamps as ISO text, bytes as base64.

    read_delta.py TABLE ROWS.ndjson      exit 0: equal; 1: not, and how; 2: misuse
"""
import base64
import collections
import datetime
import json
import os
import sys

import duckdb
import duckdb_extension_delta
import pyarrow
from deltalake import DeltaTable, QueryBuilder

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def by_delta_rs(table):
    reader = QueryBuilder().register("t", DeltaTable(table)).execute("SELECT * FROM t")
    return pyarrow.table(reader)


def by_duckdb(table):
    folder = os.path.join(os.path.dirname(duckdb_extension_delta.__file__), "extensions")
    database = duckdb.connect()
    database.execute("SET TimeZone='UTC'")
    database.execute(f"LOAD '{folder}/v{duckdb.__version__}/delta.duckdb_extension'")
    return pyarrow.table(database.execute(f"SELECT * FROM delta_scan('{table}')").arrow())


def is_time(field):
    return pyarrow.types.is_timestamp(field.type)


def is_number_list(field):
    return pyarrow.types.is_list(field.type) and pyarrow.types.is_floating(field.type.value_type)


def rows_of(table):
    """Rows as plain values: timestamps as microseconds, bytes as base64."""
    columns = {}
    for field in table.schema:
        column = table[field.name]
        if is_time(field):
            column = column.cast(pyarrow.timestamp("us", "UTC")).cast(pyarrow.int64())
        values = column.to_pylist()
        if any(isinstance(value, bytes) for value in values):
            values = [None if v is None else base64.b64encode(v).decode() for v in values]
        columns[field.name] = values
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def microseconds(text):
    when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (when - EPOCH) // datetime.timedelta(microseconds=1)


def expected_value(field, value):
    """JSON does not tell 1 from 1.0, nor a time from its text."""
    if value is None:
        return None
    if is_time(field):
        return microseconds(value)
    if is_number_list(field):
        return [None if v is None else float(v) for v in value]
    return float(value) if pyarrow.types.is_floating(field.type) else value


def expected_rows(path, schema):
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")
    for line in filter(None, lines):
        row = json.loads(line, parse_int=lambda text: -0.0 if text == "-0" else int(text))
        yield {name: expected_value(schema.field(name), value) for name, value in row.items()}


def counted(rows):
    return collections.Counter(json.dumps(row, sort_keys=True) for row in rows)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    failed = 0
    for name, read in (("delta-rs", by_delta_rs), ("duckdb-delta", by_duckdb)):
        table = read(sys.argv[1])
        have, want = counted(rows_of(table)), counted(expected_rows(sys.argv[2], table.schema))
        if have == want:
            print(f"{name}: {have.total()} rows, all equal")
            continue
        failed = 1
        print(f"{name}: {have.total()} rows, {want.total()} expected")
        for what, rest in (("only in the table", have - want), ("missing", want - have)):
            for row in sorted(rest)[:3]:
                print(f"  {what}: {row}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
