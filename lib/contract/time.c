/*
 * The spellings of a time that producers use, and the one that we print.
 */
#include "contract/private.h"

#include <stdio.h>

enum { YEAR_MIN = 1, YEAR_MAX = 9999, DECIMALS_MAX = 6 };
static const int64_t second_us = 1000000, day_s = 86400;

struct moment {
    int year, month, day, hour, minute, second, us, zone_minutes;
};

/* Days since 1970-01-01 of a civil date: years run from March, so that the leap day comes last. */
static int64_t
days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void
date_of(int64_t days, struct moment *ret)
{
    int64_t shifted = days + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100),
            month = (5 * of_year + 2) / 153;
    ret->day = (int)(of_year - (153 * month + 2) / 5 + 1);
    ret->month = (int)(month < 10 ? month + 3 : month - 9);
    ret->year = (int)(year + era * 400 + (ret->month <= 2));
}

static int
days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Reads text as form says: a letter of YMDhms is a digit of that number, all else is itself. */
static bool
read_form(const char *at, const char *form, struct moment *ret)
{
    struct moment moment = { 0 };
    for (; *form != '\0'; form++, at++) {
        int *number = *form == 'Y'   ? &moment.year
                      : *form == 'M' ? &moment.month
                      : *form == 'D' ? &moment.day
                      : *form == 'h' ? &moment.hour
                      : *form == 'm' ? &moment.minute
                      : *form == 's' ? &moment.second
                                     : NULL;
        if (number == NULL ? *at != *form : *at < '0' || *at > '9')
            return false;
        if (number != NULL)
            *number = *number * 10 + (*at - '0');
    }
    *ret = moment;
    return true;
}

static const char *
read_date_and_time(struct mr_slice text, struct moment *ret)
{
    static const char *const forms[] = { "YYYY-MM-DD hh:mm:ss", "YYYY-MM-DDThh:mm:ss",
                                         "YYYY:MM:DD hh:mm:ss", "MM/DD/YYYY, hh:mm:ss" };
    for (size_t i = 0; i < MR_COUNT(forms); i++)
        if (text.size >= strlen(forms[i]) && read_form(text.data, forms[i], ret))
            return (const char *)text.data + strlen(forms[i]);
    return NULL;
}

/* .1 to .123456; returns where it ends, at itself when there is none; NULL: too long or empty. */
static const char *
read_decimals(const char *at, const char *end, struct moment *moment)
{
    int count = 0;
    if (at == end || *at != '.')
        return at;
    for (at++; at < end && *at >= '0' && *at <= '9' && count <= DECIMALS_MAX; at++, count++)
        moment->us = moment->us * 10 + (*at - '0');
    if (count == 0 || count > DECIMALS_MAX)
        return NULL;
    for (; count < DECIMALS_MAX; count++)
        moment->us *= 10;
    return at;
}

/* Nothing, Z or +hh:mm up to the very end. */
static bool
read_zone(const char *at, const char *end, struct moment *moment)
{
    struct moment zone;
    if (at == end || (end - at == 1 && *at == 'Z'))
        return true;
    if (end - at != 6 || (*at != '+' && *at != '-') || !read_form(at + 1, "hh:mm", &zone))
        return false;
    if (zone.hour > 23 || zone.minute > 59)
        return false;
    moment->zone_minutes = (zone.hour * 60 + zone.minute) * (*at == '-' ? -1 : 1);
    return true;
}

bool
mr_time_parse(struct mr_slice text, int64_t *ret_us)
{
    struct moment moment;
    const char *end = (const char *)text.data + text.size;
    const char *at = read_date_and_time(text, &moment);
    if (at == NULL)
        return false;
    at = read_decimals(at, end, &moment);
    if (at == NULL || !read_zone(at, end, &moment))
        return false;
    if (moment.year < YEAR_MIN || moment.month < 1 || moment.month > 12 || moment.day < 1 ||
        moment.day > days_in(moment.year, moment.month))
        return false;
    if (moment.hour > 23 || moment.minute > 59 || moment.second > 59)
        return false;
    int64_t seconds = days_of(moment.year, moment.month, moment.day) * day_s + moment.hour * 3600 +
                      (moment.minute - moment.zone_minutes) * 60 + moment.second;
    if (seconds < days_of(YEAR_MIN, 1, 1) * day_s || seconds >= days_of(YEAR_MAX + 1, 1, 1) * day_s)
        return false;
    *ret_us = seconds * second_us + moment.us;
    return true;
}

void
mr_time_format(int64_t us, char ret_text[MR_TIME_TEXT_MAX + 1])
{
    int64_t day_us = day_s * second_us, days = us / day_us - (us % day_us < 0);
    int64_t of_day = us - days * day_us, decimals = of_day % second_us;
    struct moment moment;
    date_of(days, &moment);
    int seconds = (int)(of_day / second_us);
    char point[8] = "";
    if (decimals != 0)
        (void)snprintf(point, sizeof(point), ".%06u", (unsigned)decimals % (unsigned)second_us);
    (void)snprintf(ret_text, MR_TIME_TEXT_MAX + 1, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", moment.year,
                   moment.month, moment.day, seconds / 3600, seconds / 60 % 60, seconds % 60,
                   point);
}
