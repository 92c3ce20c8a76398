/*
 * Prints docs/reference/codes.md: error codes, exit codes, rpc statuses, codes of dead letters, and
 * the metrics that every process has.
 */
#include <stdio.h>

#include "base/base.h"
#include "metrics/metrics.h"
#include "millrace/v1/event.pb-c.h"
#include "rpc/rpc.h"
#include "service/service.h"

static void
print_errors(void)
{
    printf("# Codes\n\n## Errors\n\nThey stand as `code=` in log lines.\n\n| code | meaning |\n"
           "|---|---|\n");
    for (int code = 1; code < MR_CODE_COUNT; code++)
        printf("| `%s` | %s |\n", mr_code_name(-code), mr_code_text(-code));
    printf(
        "\n## Exit codes\n\n| code | meaning |\n|---|---|\n"
        "| 0 | asked to end, and drained |\n"
        "| 1 | failed: fenced by its own name, refused credentials, drain overdue |\n"
        "| 2 | configuration, or identity or history that does not fit; one line says which |\n");
}

static void
print_dead_codes(void)
{
    const ProtobufCEnumDescriptor *codes = &millrace__v1__dead_code__descriptor;
    printf("\n## Dead letters\n\nThe closed list of `proto/millrace/v1/event.proto`:\n\n");
    for (unsigned i = 0; i < codes->n_values; i++)
        if (codes->values[i].value != 0)
            printf("- `%s`\n", codes->values[i].name);
}

static void
print_statuses(void)
{
    static const int statuses[] = { MR_RPC_OK,
                                    MR_RPC_CANCELLED,
                                    MR_RPC_UNKNOWN,
                                    MR_RPC_INVALID_ARGUMENT,
                                    MR_RPC_DEADLINE_EXCEEDED,
                                    MR_RPC_NOT_FOUND,
                                    MR_RPC_RESOURCE_EXHAUSTED,
                                    MR_RPC_FAILED_PRECONDITION,
                                    MR_RPC_UNIMPLEMENTED,
                                    MR_RPC_INTERNAL,
                                    MR_RPC_UNAVAILABLE };
    printf("\n## Statuses of rpc\n\nNumbers as in gRPC.\n\n| number | status |\n|---|---|\n");
    for (size_t i = 0; i < MR_COUNT(statuses); i++)
        printf("| %d | `%s` |\n", statuses[i], mr_rpc_status_name(statuses[i]));
}

int
main(void)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf metrics;
    mr_buf_init(&metrics, 1 << 20);
    print_errors();
    print_dead_codes();
    print_statuses();
    mr_metrics_reference(mr_service_core_metrics, mr_service_core_metrics_count, &metrics);
    printf("\n## Metrics of every process\n\n%s", metrics.data);
    return 0;
}
