#pragma once

/*
 * The monitor of a command of the service that has a terminal: it leads the command's session, so
 * that the command's process group is not orphaned and the kernel stops it as usual (signal(7)),
 * and so that the end of the command is not the end of a session, which hangs up on others.
 */

int monitor_start(int slave, int channel);
