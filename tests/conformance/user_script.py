"""What people run, in the form in which they wrote it: the rows of three tables are posted to the
batch and the streaming URLs of an API gateway. Only the URL and the rows come from outside."""

import json
import sys
from datetime import datetime

import requests

invoke_url, user_id, rows = sys.argv[1:]


def post_to_topic(invoke_url, topic, record):
    payload = json.dumps({"records": [{"value": record}]}, default=str)
    headers = {"Content-Type": "application/vnd.kafka.json.v2+json"}
    response = requests.request("POST", f"{invoke_url}/topics/{topic}", headers=headers,
                                data=payload)
    print(response.status_code, json.dumps(response.json()))


def put_to_stream(invoke_url, stream_name, record):
    payload = json.dumps({"StreamName": stream_name, "Data": record,
                          "PartitionKey": "partition-1"}, default=str)
    headers = {"Content-Type": "application/json"}
    response = requests.request("PUT", f"{invoke_url}/streams/{stream_name}/record",
                                headers=headers, data=payload)
    print(response.status_code, json.dumps(response.json()))


with open(rows) as lines:
    for line in lines:
        emission = json.loads(line)
        pin_result, geo_result, user_result = emission["pin"], emission["geo"], emission["user"]
        # The database gives times; default=str writes them.
        geo_result["timestamp"] = datetime.fromisoformat(geo_result["timestamp"])
        user_result["date_joined"] = datetime.fromisoformat(user_result["date_joined"])
        post_to_topic(invoke_url, f"{user_id}.pin", pin_result)
        post_to_topic(invoke_url, f"{user_id}.geo", geo_result)
        post_to_topic(invoke_url, f"{user_id}.user", user_result)
        put_to_stream(invoke_url, f"streaming-{user_id}-pin", pin_result)
        put_to_stream(invoke_url, f"streaming-{user_id}-geo", geo_result)
        put_to_stream(invoke_url, f"streaming-{user_id}-user", user_result)
