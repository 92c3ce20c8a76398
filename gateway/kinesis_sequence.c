#include "gateway/kinesis_sequence.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { MD5_BYTES = 16, OFFSET_DIGITS = 19, PARTITION_DIGITS = 5 };

/* As real ones begin: tools that sort them as text find them longer than what stands for a start.
 */
static const char sequence_prefix[] = "49";
static const char shard_prefix[] = "shardId-";

static const hash_key hash_key_last = ~(hash_key)0;

/* Only digits, at most limit. */
static bool
parse_digits(struct mr_slice text, int64_t limit, int64_t *ret)
{
    const char *digits = text.data;
    int64_t number = 0;
    if (text.size == 0 || text.size > OFFSET_DIGITS)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9' || number > (INT64_MAX - 9) / 10)
            return false;
        number = 10 * number + (digits[i] - '0');
    }
    *ret = number;
    return number <= limit;
}

void
shard_name(int32_t partition, char ret[SHARD_NAME_BYTES])
{
    MR_ASSERT(partition >= 0);
    (void)snprintf(ret, SHARD_NAME_BYTES, "%s%012d", shard_prefix, (int)partition);
}

bool
shard_parse(struct mr_slice name, int32_t *ret)
{
    size_t prefix = sizeof(shard_prefix) - 1;
    int64_t number;
    if (name.size > prefix && memcmp(name.data, shard_prefix, prefix) == 0)
        name = mr_slice((const char *)name.data + prefix, name.size - prefix);
    if (!parse_digits(name, INT32_MAX, &number))
        return false;
    *ret = (int32_t)number;
    return true;
}

void
sequence_format(int32_t partition, int64_t offset, char ret[SEQUENCE_BYTES])
{
    MR_ASSERT(partition >= 0);
    MR_ASSERT(partition < SHARDS_MAX);
    MR_ASSERT(offset >= 0);
    (void)snprintf(ret, SEQUENCE_BYTES, "%s%0*lld%0*d", sequence_prefix, OFFSET_DIGITS,
                   (long long)offset, PARTITION_DIGITS, (int)partition);
}

bool
sequence_parse(struct mr_slice text, int32_t *ret_partition, int64_t *ret_offset)
{
    size_t prefix = sizeof(sequence_prefix) - 1;
    const char *at = text.data;
    int64_t partition;
    if (text.size != prefix + OFFSET_DIGITS + PARTITION_DIGITS ||
        memcmp(at, sequence_prefix, prefix) != 0 ||
        !parse_digits(mr_slice(at + prefix, OFFSET_DIGITS), INT64_MAX, ret_offset) ||
        !parse_digits(mr_slice(at + prefix + OFFSET_DIGITS, PARTITION_DIGITS), SHARDS_MAX - 1,
                      &partition))
        return false;
    *ret_partition = (int32_t)partition;
    return true;
}

/* 2^128 / shards, which for one shard does not fit. */
static hash_key
range_size(int shards)
{
    MR_ASSERT(shards > 1);
    hash_key size = hash_key_last / (unsigned)shards;
    return size + (hash_key_last % (unsigned)shards == (unsigned)shards - 1);
}

void
shard_range(int32_t partition, int shards, hash_key *ret_first, hash_key *ret_last)
{
    MR_ASSERT(partition >= 0);
    MR_ASSERT(partition < shards);
    hash_key size = shards > 1 ? range_size(shards) : 0;
    *ret_first = size * (unsigned)partition;
    *ret_last = partition == shards - 1 ? hash_key_last : *ret_first + size - 1;
}

int32_t
shard_of(hash_key key, int shards)
{
    MR_ASSERT(shards > 0);
    if (shards == 1)
        return 0;
    hash_key shard = key / range_size(shards);
    return shard < (unsigned)shards ? (int32_t)shard : shards - 1;
}

hash_key
hash_key_of(struct mr_slice partition_key)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    hash_key key = 0;
    int ok = EVP_Digest(partition_key.data, partition_key.size, digest, &size, EVP_md5(), NULL);
    MR_ASSERT(ok == 1);
    MR_ASSERT(size == MD5_BYTES);
    for (size_t i = 0; i < MD5_BYTES; i++)
        key = key << 8 | digest[i];
    return key;
}

bool
hash_key_parse(struct mr_slice text, hash_key *ret)
{
    const char *digits = text.data;
    hash_key key = 0;
    if (text.size == 0 || text.size > HASH_KEY_DIGITS || (text.size > 1 && digits[0] == '0'))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(digits[i] - '0');
        if (digit > 9 || key > hash_key_last / 10 || key * 10 > hash_key_last - digit)
            return false;
        key = key * 10 + digit;
    }
    *ret = key;
    return true;
}

void
hash_key_format(hash_key key, char ret[HASH_KEY_DIGITS + 1])
{
    char digits[HASH_KEY_DIGITS + 1];
    size_t at = HASH_KEY_DIGITS;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(key % 10));
        key /= 10;
    } while (key > 0);
    memcpy(ret, digits + at, HASH_KEY_DIGITS + 1 - at);
}
