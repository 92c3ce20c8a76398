"""What schemathesis must know besides the document: how lines of JSON are written, and names that
lead somewhere, since made-up ones end at the first check."""

import json
import zlib

import schemathesis

REAL = {"topic": "real.pin", "stream": "streaming-real-pin", "tenant": "real", "kind": "pin",
        "cluster": "memory", "group": "readers", "instance": "one", "partition": 0, "broker": 1}


@schemathesis.serializer("application/x-ndjson", "application/x-amz-cbor-1.1")
def lines(context, value):
    return str(value).encode("utf-8", "surrogatepass")


@schemathesis.serializer("application/x-amz-json-1.1")
def amazon(context, value):
    return json.dumps(value).encode()


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Three of four requests go to what is there, but for those that would take it away."""
    if path_parameters and context.operation.method.upper() == "DELETE":
        gone = ("topic", "stream", "instance")
        path_parameters.update((name, "gone") for name in gone if name in path_parameters)
    elif path_parameters and zlib.crc32(repr(path_parameters).encode()) % 4:
        path_parameters.update((name, REAL[name]) for name in path_parameters if name in REAL)
    return path_parameters


@schemathesis.hook
def map_query(context, query):
    """Nobody waits long for records that do not come."""
    if query and "timeout" in query and str(query["timeout"]).isdigit():
        query["timeout"] = int(query["timeout"]) % 10
    return query
