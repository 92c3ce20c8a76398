/*
 * What the validator and then the cleaner would say, in this process: the contract's check and one
 * row through clean.sql.
 */
#include "cli/replay/replay.h"

enum { RECORD_BYTES_MAX = 64 << 20 };

int
replay_judge_open(const char *kinds, const char *kind, struct replay_judge *ret, struct mr_err *err)
{
    *ret = (struct replay_judge){ .kind = kind };
    mr_buf_init(&ret->record, RECORD_BYTES_MAX);
    mr_buf_init(&ret->key, RECORD_BYTES_MAX);
    mr_buf_init(&ret->row, RECORD_BYTES_MAX);
    if (mr_contracts_open(kinds, &ret->contracts, err) != 0 ||
        mr_clean_open(ret->contracts, 0, &ret->clean, err) != 0)
        return err->code;
    const struct mr_kind *contract = mr_contracts_find(ret->contracts, kind);
    if (contract == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "%s has no kind %s: give another --kinds",
                       kinds, kind);
    ret->input = mr_columns_new(&contract->input);
    return 0;
}

void
replay_judge_close(struct replay_judge *judge)
{
    mr_columns_free(judge->input);
    mr_clean_close(judge->clean);
    mr_contracts_close(judge->contracts);
    mr_buf_fini(&judge->record);
    mr_buf_fini(&judge->key);
    mr_buf_fini(&judge->row);
}

static bool
is_cleaned(struct replay_judge *judge)
{
    struct mr_clean_kind *rules = mr_clean_find(judge->clean, judge->kind);
    const struct mr_kind *contract = mr_clean_contract(rules);
    struct mr_cleaned cleaned;
    struct mr_err why = { 0 };
    mr_columns_reset(judge->input);
    if (mr_contract_decode(contract, MR_INPUT, mr_buf_slice(&judge->record), judge->input, &why) !=
            0 ||
        mr_clean_run(rules, judge->input, &cleaned, &why) != 0 || cleaned.errors_count > 0)
        return false;
    mr_buf_reset(&judge->row);
    mr_contract_json(&contract->output, cleaned.rows, 0, &judge->row);
    return true;
}

enum replay_fate
replay_judge(struct replay_judge *judge, const struct replay_letter *letter)
{
    const struct mr_kind *contract = mr_contracts_find(judge->contracts, judge->kind);
    if (letter->value.size == 0 ||
        mr_contract_check(contract, letter->value, &judge->record, &judge->key, &judge->verdict) !=
            0 ||
        !is_cleaned(judge))
        return REPLAY_DIES;
    return letter->letter->code == MILLRACE__V1__DEAD_CODE__TOO_LARGE ? REPLAY_OPEN : REPLAY_PASSES;
}
