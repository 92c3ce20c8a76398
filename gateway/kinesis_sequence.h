/*
 * kinesis_sequence: where a record stands, in the words of Kinesis. A shard is a partition; its
 * name and every sequence number can be read back. The 2^128 hash keys are dealt to the shards in
 * equal ranges, the last of which takes the rest.
 *
 * Plain functions without state. Threads: any.
 */
#ifndef MR_KINESIS_SEQUENCE_H
#define MR_KINESIS_SEQUENCE_H

#include "base/base.h"

enum {
    SHARD_NAME_BYTES = 32,
    SEQUENCE_BYTES = 48,
    HASH_KEY_DIGITS = 39,
    SHARDS_MAX = 100000, /* what a sequence number has room for */
};

typedef unsigned __int128 hash_key;

void shard_name(int32_t partition, char ret[SHARD_NAME_BYTES]);
/* "shardId-000000000003", or only its number; false: it is none. */
bool shard_parse(struct mr_slice name, int32_t *ret);

/* Of fixed width, so that the numbers of one shard are in the order of its offsets, as text too. */
void sequence_format(int32_t partition, int64_t offset, char ret[SEQUENCE_BYTES]);
bool sequence_parse(struct mr_slice text, int32_t *ret_partition, int64_t *ret_offset);

/* The range of a shard, both ends included. */
void shard_range(int32_t partition, int shards, hash_key *ret_first, hash_key *ret_last);
int32_t shard_of(hash_key key, int shards);
hash_key hash_key_of(struct mr_slice partition_key); /* MD5 */
/* Decimal, without sign or leading zeros; false: it is not, or beyond 2^128 - 1. */
bool hash_key_parse(struct mr_slice text, hash_key *ret);
void hash_key_format(hash_key key, char ret[HASH_KEY_DIGITS + 1]);

#endif
