/* Switches callgrind's counting on and off from within the program that it runs. Without callgrind both do nothing. */
#include <valgrind/callgrind.h>

void counting_on(void) { CALLGRIND_START_INSTRUMENTATION; }
void counting_off(void) { CALLGRIND_STOP_INSTRUMENTATION; }
