#pragma once

/* What every proof needs of Frama-C: values of which nothing is known. */

#include <__fc_builtin.h>

/* Printed when the analysis comes here: the end of main must be reached. */
void Frama_C_show_each_reached(int);
