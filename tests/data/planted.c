/* A mistake for each tool of tests/lint: one that does not find its own is not looking. Part of no program. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

int planted_open(const char *path);
int planted_compare(const char *a, const char *b);
char *planted_copy(const char *text);
int planted_first(const int *list, int count);

/* cppcheck: resourceLeak, by what it knows of POSIX */
int planted_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : 0;
}

/* clang-tidy: bugprone-suspicious-string-compare */
int planted_compare(const char *a, const char *b)
{
    return strcmp(a, b) == -1;
}

/* gcc -fanalyzer: use after free */
char *planted_copy(const char *text)
{
    char *copy = strdup(text);
    free(copy);
    if (copy)
        copy[0] = 0;
    return copy;
}

/* clang's analyzer: core.NullDereference */
int planted_first(const int *list, int count)
{
    if (list)
        count--;
    return count + *list;
}
