#pragma once

/* Finds out why a program that is there could not be executed. */

#include <stdbool.h>
#include <stddef.h>

bool exec_failure_describe(char *text, size_t size, const char *command);
