/*
 * A name service that answers everything with STATUS and errno ERROR, but is interrupted the first time. Who is found has
 * an entry that needs some room.
 */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>

enum nss_status _nss_latchtest_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, int *error);
enum nss_status _nss_latchtest_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, int *error)
{
	static int asked;
	*error = asked++ == 0 ? EINTR : ERROR;
	if (asked == 1)
		return NSS_STATUS_TRYAGAIN;
	if (STATUS == NSS_STATUS_SUCCESS && size < 5000) {
		*error = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	if (STATUS == NSS_STATUS_SUCCESS)
		*entry = (struct passwd){ .pw_name = strcpy(buffer, name), .pw_passwd = "x", .pw_gecos = "", .pw_dir = "/", .pw_shell = "/" };
	return STATUS;
}
