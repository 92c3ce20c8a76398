/* The XML of an S3 server: an error's elements and a listing, read to its end. */
#include "store/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_slice xml = mr_slice(data, size);
    struct mr_s3_listing listing;
    struct mr_object object;
    char text[64];
    mr_s3_element(xml, "Code", text, sizeof(text));
    MR_ASSERT(strlen(text) < sizeof(text));
    if (mr_s3_listing_open(xml, &listing, NULL) != 0)
        return 0;
    while (mr_s3_listing_next(&listing, &object, NULL) == 1) {
        MR_ASSERT(object.key[0] != '\0');
        MR_ASSERT(strlen(object.key) <= MR_STORE_KEY_MAX);
        MR_ASSERT(object.bytes >= 0);
    }
    return 0;
}
