/* Request and Reply from outside: a call that is handed out has a method and a bounded deadline. */
#include "rpc/private.h"

#include "clock/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_rpc_call call;
    struct mr_rpc_answer answer;
    Millrace__V1__Request *request = rpc_parse_request(mr_slice(data, size), &call);
    Millrace__V1__Reply *reply = rpc_parse_reply(mr_slice(data, size), "a", &answer);
    if (request != NULL) {
        int64_t left_ms = call.deadline_ms - mr_now_ms();
        MR_ASSERT(call.method[0] != '\0');
        MR_ASSERT(left_ms <= MR_RPC_TIMEOUT_MAX_MS);
        MR_ASSERT(call.body.size <= size);
    }
    if (reply != NULL) {
        MR_ASSERT(answer.cursor == NULL || answer.cursor[0] != '\0');
        MR_ASSERT(mr_rpc_status_name(answer.status) != NULL);
        MR_ASSERT(answer.body.size <= size);
    }
    millrace__v1__request__free_unpacked(request, NULL);
    millrace__v1__reply__free_unpacked(reply, NULL);
    return 0;
}
