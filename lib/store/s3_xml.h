/*
 * s3_xml: the few things we read from S3's XML: code and message of an error, and a listing.
 *
 * Tolerant by design: elements are found by name, unknown ones and name spaces are passed over.
 * Element text holds no '<', so searching for tags is exact. Plain functions without state.
 */
#ifndef MR_STORE_S3_XML_H
#define MR_STORE_S3_XML_H

#include "store/store.h"

/* The decoded text of the first element of that name, "" when there is none or it does not fit. */
void mr_s3_element(struct mr_slice xml, const char *name, char *ret_text, size_t ret_bytes);

struct mr_s3_listing {
    struct mr_slice xml; /* borrowed */
    size_t at;
    bool encoded;   /* keys are URL-encoded (the server says so) */
    bool truncated; /* there is more behind this page */
};
/* CORRUPT when this is no ListBucketResult. */
int mr_s3_listing_open(struct mr_slice xml, struct mr_s3_listing *ret, struct mr_err *err);
/* 1: *ret is the next object, with its full key in the bucket; 0: that was all; or CORRUPT. */
int mr_s3_listing_next(struct mr_s3_listing *listing, struct mr_object *ret, struct mr_err *err);

#endif
