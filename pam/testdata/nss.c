/* A name service that answers everything with STATUS and errno ERROR. */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stddef.h>

enum nss_status _nss_latchtest_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, int *error);
enum nss_status _nss_latchtest_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, int *error)
{
	(void)name;
	(void)entry;
	(void)buffer;
	(void)size;
	*error = ERROR;
	return STATUS;
}
