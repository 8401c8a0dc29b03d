#pragma once

/* The system calls that a session may still make once it reads what a stranger sent. */

int filter_load(void);
