"""A REST proxy client from PyPI (nlp-kafka-rest-api), written against an API gateway in front of
Confluent's proxy: it sends x-api-key, and reads in the binary format."""

import json

import kafka_rest


def test_producer(broker, gateway, tenant):
    producer = kafka_rest.Producer(kafka_rest_api_url=f"{gateway.url}/prod",
                                   topic_id=f"{tenant}.pin", auth_headers={"x-api-key": "any"})
    messages = [{"index": number, "title": "ü"} for number in range(10)]
    keys = producer.produce(messages, "pin")
    stands = {json.loads(record.key): json.loads(record.value)
              for record in broker.records(f"{tenant}.pin").values()}
    assert stands == {key: {"endpoint": "pin", "payload": message}
                      for key, message in zip(keys, messages)}
