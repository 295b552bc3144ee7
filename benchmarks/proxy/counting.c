/* Counts with callgrind from within the program that it runs. Without callgrind nothing happens. */
#include <valgrind/callgrind.h>

void counting_on(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void counting_off(const char *name) {
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}
