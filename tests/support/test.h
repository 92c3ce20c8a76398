/* cmocka needs these before it; clang-format would sort them away, so include cmocka only here. */
#ifndef MR_TEST_H
#define MR_TEST_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
