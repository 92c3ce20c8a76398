// usage: node kinesis.js URL STREAM   puts three records, lists, reads them back, and is refused once
const {KinesisClient, PutRecordCommand, PutRecordsCommand, ListShardsCommand, GetShardIteratorCommand,
       GetRecordsCommand, DescribeStreamSummaryCommand} = require('@aws-sdk/client-kinesis');

const {NodeHttpHandler} = require('@smithy/node-http-handler');

const [endpoint, StreamName] = process.argv.slice(2);
// By itself this client speaks HTTP/2, which the gateway does not.
const client = new KinesisClient({
  requestHandler: new NodeHttpHandler(),
  endpoint, region: 'us-east-1', maxAttempts: 1,
  credentials: {accessKeyId: 'any', secretAccessKey: 'any-secret'},
});

async function main() {
  const record = {Data: Buffer.from('{"index":1}'), PartitionKey: 'k'};
  const {ShardId} = await client.send(new PutRecordCommand({StreamName, ...record}));
  const put = await client.send(new PutRecordsCommand({StreamName, Records: [record, record]}));
  const {Shards} = await client.send(new ListShardsCommand({StreamName}));
  const {ShardIterator} = await client.send(new GetShardIteratorCommand(
    {StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON'}));
  const {Records} = await client.send(new GetRecordsCommand({ShardIterator}));
  const error = await client.send(new DescribeStreamSummaryCommand({StreamName: 'not-here-geo'}))
    .then(() => 'none', (refusal) => refusal.name);
  console.log(JSON.stringify({
    failed: put.FailedRecordCount, error,
    shards: Shards.map((shard) => shard.ShardId),
    read: Records.map((one) => Buffer.from(one.Data).toString()),
  }));
}

main();
