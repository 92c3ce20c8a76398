/*
 * Numbers, exactly: one pass keeps up to 19 digits and the decimal exponent, which settles every
 * integer and, by one multiplication or division of exact doubles, almost every decimal (Clinger
 * 1990). The rest goes to the C library, in the C locale whatever the process has set.
 */
#include "contract/private.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

enum { DIGITS_MAX = 19, POWER_EXACT_MAX = 22 };
static const int64_t exponent_max = 1 << 30; /* of what is written; far beyond any double */

static bool
is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* Takes digits into number. Zeros wait until a digit behind them shows that they count. */
struct digits {
    int64_t zeros; /* that wait */
    int taken;     /* in mantissa, at most 20 */
};

static void
take_digit(struct mr_json_number *number, struct digits *digits, char c)
{
    if (c == '0') {
        digits->zeros += number->mantissa != 0;
        return;
    }
    if (digits->zeros + digits->taken >= DIGITS_MAX) {
        number->is_exact = false;
        digits->zeros = 0;
        digits->taken = DIGITS_MAX;
        return;
    }
    for (int64_t i = 0; i < digits->zeros; i++)
        number->mantissa *= 10;
    number->mantissa = number->mantissa * 10 + (uint64_t)(c - '0');
    digits->taken += (int)digits->zeros + 1;
    digits->zeros = 0;
}

static bool
take_exponent(struct mr_json *in, struct mr_json_number *number)
{
    int64_t exponent = 0;
    in->at++;
    bool negative = in->at < in->end && *in->at == '-';
    if (in->at < in->end && (*in->at == '-' || *in->at == '+'))
        in->at++;
    if (!is_digit(in->at, in->end))
        return mr_json_fault(in, MR_DEAD(NOT_JSON), "a digit must follow the e");
    for (; is_digit(in->at, in->end); in->at++)
        if (exponent < exponent_max)
            exponent = exponent * 10 + (*in->at - '0');
    number->exponent += negative ? -exponent : exponent;
    number->is_plain = false;
    return true;
}

bool
mr_json_number(struct mr_json *in, struct mr_json_number *ret)
{
    const char *start = in->at;
    struct mr_json_number number = { .is_plain = true, .is_exact = true };
    struct digits digits = { 0 };

    if (in->at < in->end && *in->at == '-') {
        number.negative = true;
        in->at++;
    }
    if (!is_digit(in->at, in->end))
        return mr_json_fault(in, MR_DEAD(NOT_JSON), "a digit must follow the minus");
    if (*in->at == '0' && is_digit(in->at + 1, in->end))
        return mr_json_fault(in, MR_DEAD(NOT_JSON), "a number may not begin with a zero");
    for (; is_digit(in->at, in->end); in->at++)
        take_digit(&number, &digits, *in->at);
    if (in->at < in->end && *in->at == '.') {
        const char *decimals = ++in->at;
        for (; is_digit(in->at, in->end); in->at++)
            take_digit(&number, &digits, *in->at);
        number.exponent = decimals - in->at;
        number.is_plain = false;
        if (in->at == decimals)
            return mr_json_fault(in, MR_DEAD(NOT_JSON), "a digit must follow the point");
    }
    if (in->at < in->end && (*in->at == 'e' || *in->at == 'E') && !take_exponent(in, &number))
        return false;
    number.exponent = number.mantissa != 0 ? number.exponent + digits.zeros : 0;
    number.text = mr_slice(start, (size_t)(in->at - start));
    *ret = number;
    return true;
}

enum mr_fit
mr_number_int(const struct mr_json_number *number, int64_t *ret)
{
    uint64_t limit = (uint64_t)INT64_MAX + number->negative, value = number->mantissa;
    if (number->exponent < 0)
        return MR_NOT_WHOLE;
    if (!number->is_exact || number->exponent > DIGITS_MAX)
        return MR_TOO_BIG;
    for (int64_t i = 0; i < number->exponent; i++)
        if (__builtin_mul_overflow(value, 10, &value))
            return MR_TOO_BIG;
    if (value > limit)
        return MR_TOO_BIG;
    *ret = (int64_t)(number->negative ? 0 - value : value);
    return MR_FITS;
}

static locale_t c_locale;

static void
make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    MR_ASSERT(c_locale != (locale_t)0);
}

enum mr_fit
mr_number_double(const struct mr_json_number *number, double *ret)
{
    static const double powers[POWER_EXACT_MAX + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int64_t exponent = number->exponent;

    if (number->is_exact && number->mantissa <= (uint64_t)1 << 53 && exponent >= -POWER_EXACT_MAX &&
        exponent <= POWER_EXACT_MAX) {
        double value = (double)number->mantissa;
        value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
        *ret = number->negative ? -value : value;
        return MR_FITS;
    }
    (void)pthread_once(&once, make_locale);
    double value = strtod_l(number->text.data, NULL, c_locale);
    if (isinf(value))
        return MR_TOO_BIG;
    *ret = value;
    return MR_FITS;
}
