/* A name service that answers everything with STATUS and errno ERROR, but is interrupted the first time. */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stddef.h>

enum nss_status _nss_latchtest_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, int *error);
enum nss_status _nss_latchtest_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, int *error)
{
	static int asked;
	(void)name;
	(void)entry;
	(void)buffer;
	(void)size;
	*error = asked++ == 0 ? EINTR : ERROR;
	return asked == 1 ? NSS_STATUS_TRYAGAIN : STATUS;
}
