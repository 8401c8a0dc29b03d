#include "tests/record.h"

#include "tests/test.h"

/* Reads a record into @bytes, which has room for RECORD_SIZE_MAX. Returns its size. */
size_t record_read(unsigned version, const char *name, unsigned char *bytes) {
    char path[512];
    FILE *file;
    size_t size = 0;
    unsigned byte;

    snprintf(path, sizeof(path), "%s/%u-%s", RECORDS_FOLDER, version, name);
    file = fopen(path, "re");
    if (file == NULL)
        fail_msg("%s cannot be opened", path);
    while (size < RECORD_SIZE_MAX && fscanf(file, "%2x", &byte) == 1)
        bytes[size++] = (unsigned char)byte;
    assert_true(feof(file));
    fclose(file);
    return size;
}
