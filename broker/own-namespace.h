#pragma once

/* A namespace of this process, as a file (namespaces(7)). */

enum own_namespace { OWN_NAMESPACE_NET, OWN_NAMESPACE_UTS };

int own_namespace_open(enum own_namespace kind, int *fdp);
