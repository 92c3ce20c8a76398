/*
 * Encodings and identity: random bytes, UUIDs, hex, hashes, UTF-8, base64.
 */
#include "base/base.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <sys/random.h>
#include <xxhash.h>

void
mr_random(void *bytes, size_t count)
{
    char *at = bytes;
    while (count > 0) {
        ssize_t got = getrandom(at, count, 0);
        MR_ASSERT(got > 0);
        at += got;
        count -= (size_t)got;
    }
}

void
mr_hex(const void *bytes, size_t count, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    for (size_t i = 0; i < count; i++) {
        ret_text[2 * i] = digits[from[i] >> 4];
        ret_text[2 * i + 1] = digits[from[i] & 15];
    }
    ret_text[2 * count] = '\0';
}

/* RFC 9562, section 5.4. */
void
mr_uuid_text(char ret_text[MR_UUID_TEXT + 1])
{
    unsigned char b[MR_UUID_BYTES];
    char hex[2 * MR_UUID_BYTES + 1];
    mr_random(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    mr_hex(b, sizeof(b), hex);
    (void)snprintf(ret_text, MR_UUID_TEXT + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
}

uint64_t
mr_hash64(const void *bytes, size_t count, uint64_t seed)
{
    return XXH64(bytes, count, seed);
}

/* The constants and the order of steps are those of Java's Utils.murmur2, seed 0x9747b28c. */
uint32_t
mr_murmur2(const void *bytes, size_t count)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *at = bytes;
    uint32_t h = 0x9747b28cU ^ (uint32_t)count;

    for (; count >= 4; count -= 4, at += 4) {
        uint32_t k =
            (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = h * m ^ k * m;
    }
    if (count == 3)
        h ^= (uint32_t)at[2] << 16;
    if (count >= 2)
        h ^= (uint32_t)at[1] << 8;
    if (count >= 1)
        h = (h ^ at[0]) * m;
    h = (h ^ h >> 13) * m;
    return (h ^ h >> 15) & 0x7fffffffU;
}

/* Length of the well-formed sequence at text (Unicode 15, table 3-7), or 0. */
static size_t
utf8_sequence(const unsigned char *text, size_t left)
{
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (length == 1)
        return 1;
    if (first < 0xc2 || first > 0xf4 || left < length)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool
mr_utf8_valid(struct mr_slice text)
{
    const unsigned char *at = text.data;
    for (size_t left = text.size; left > 0;) {
        uint64_t eight;
        if (left >= 8 && (memcpy(&eight, at, 8), (eight & 0x8080808080808080U) == 0)) {
            at += 8;
            left -= 8;
            continue;
        }
        size_t length = utf8_sequence(at, left);
        if (length == 0)
            return false;
        at += length;
        left -= length;
    }
    return true;
}

static bool
base64_alphabet(struct mr_slice text)
{
    const char *at = text.data;
    size_t padding = 0;
    while (padding < 2 && padding < text.size && at[text.size - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < text.size - padding; i++) {
        char c = at[i];
        bool fine = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    c == '+' || c == '/';
        if (!fine)
            return false;
    }
    return true;
}

int64_t
mr_base64_decode(struct mr_slice text, void *ret_bytes)
{
    /* OpenSSL's decoder skips blanks and does not count padding: check both here. */
    if (text.size % 4 != 0 || text.size > INT32_MAX || !base64_alphabet(text))
        return MR_E(INVALID);
    if (text.size == 0)
        return 0;
    int bytes = EVP_DecodeBlock(ret_bytes, text.data, (int)text.size);
    if (bytes < 0)
        return MR_E(INVALID);
    const char *end = (const char *)text.data + text.size;
    return bytes - (end[-1] == '=') - (end[-2] == '=');
}

void
mr_base64_encode(struct mr_slice bytes, struct mr_buf *ret_text)
{
    MR_ASSERT(bytes.size < INT32_MAX / 2);
    size_t length = (bytes.size + 2) / 3 * 4;
    unsigned char *room = mr_buf_extend(ret_text, length);
    if (room != NULL && bytes.size > 0)
        (void)EVP_EncodeBlock(room, bytes.data, (int)bytes.size);
}
