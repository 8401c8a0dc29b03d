#!/bin/sh
# Runs at the end of each transaction of apk that had to do with /usr/libexec, so after installation,
# upgrade and `apk fix` of utsbroker and of utsbroker-direct: `p`, which the broker makes effective for
# the one system call that needs it.
[ ! -e /usr/libexec/utsbroker ] || setcap cap_sys_admin=p /usr/libexec/utsbroker
