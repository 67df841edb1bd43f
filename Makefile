# Latch for Linux. `make` builds, `make demo` shows, `make test` proves, `sudo make install` copies.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
VERSION    ?= $(shell cat VERSION)
BUILD      := build

# The module runs this program and no other; distributions set LIBEXECDIR.
AUTHENTICATOR ?= $(LIBEXECDIR)/latch/latch-auth
# latch install tries a service file with it before a login does.
PROBE_PATH    ?= $(LIBEXECDIR)/latch/latch-probe

CC       ?= cc
CFLAGS   ?= -O2 -g
C_STRICT := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes \
            -fPIC -fvisibility=hidden -fstack-protector-strong -D_FORTIFY_SOURCE=2
# nodelete: libpam unloads modules when PAM_SERVICE changes, but keeps the delay function that we set.
C_LINK   := -shared -Wl,--version-script=pam/pam_latch.map -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete
C_FILES  := $(wildcard pam/*.c)

GO         ?= go
GO_LDFLAGS  = -s -w -X github.com/latch-linux/latch/pkg/version.version=$(VERSION) -X main.probe=$(PROBE_PATH) -X main.authenticator=$(AUTHENTICATOR) -X main.moduleDir=$(PAMDIR)
GO_BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(GO_LDFLAGS)'
GO_FILES   := $(shell find cmd pkg -name '*.go' -o -path '*/testdata' -prune -false) go.mod go.sum VERSION

PROGRAMS := $(BUILD)/latch-auth $(BUILD)/latch $(BUILD)/latch-server
PROBE    := $(BUILD)/latch-probe
BUILT    := $(BUILD)/pam_latch.so $(PROGRAMS) $(PROBE)

# libpam looks for modules where this system keeps pam_unix.so; the compiler's own architecture comes first.
ARCH_DIR := $(shell $(CC) -print-multiarch 2>/dev/null)
PAM_UNIX := $(firstword $(wildcard $(foreach dir,\
              $(if $(ARCH_DIR),/usr/lib/$(ARCH_DIR) /lib/$(ARCH_DIR)) /usr/lib64 /lib64 /usr/lib /lib,\
              $(dir)/security/pam_unix.so)))
PAMDIR   ?= $(patsubst %/,%,$(dir $(PAM_UNIX)))

PROFILE_LINKS := pairSYS unpairSYS pairOVPN unpairOVPN

.PHONY: all build demo test fuzz bench install uninstall clean
all: build

build: $(BUILT)

$(BUILD)/pam_latch.so: $(C_FILES) $(wildcard pam/*.h) pam/pam_latch.map Makefile
	@mkdir -p $(BUILD)
	$(CC) $(C_STRICT) $(CFLAGS) -DLATCH_AUTHENTICATOR='"$(AUTHENTICATOR)"' -o $@ $(C_FILES) $(C_LINK) $(LDFLAGS) -lpam

$(PROGRAMS): $(BUILD)/%: $(GO_FILES)
	@mkdir -p $(BUILD)
	$(GO_BUILD) -o $@ ./cmd/$*

# libpam can only be had through cgo.
$(PROBE): $(GO_FILES)
	@mkdir -p $(BUILD)
	CGO_ENABLED=1 $(GO) build -trimpath -ldflags '$(GO_LDFLAGS)' -o $@ ./cmd/latch-probe

demo:
	@scripts/bootstrap demo
	@$(MAKE) -q build || echo "Building; the first time takes a minute or two ..."
	@$(MAKE) --no-print-directory -s build
	@$(GO) run ./pam/demo

test:
	@scripts/bootstrap test
	@scripts/test

# Each target for FUZZTIME, one after the other: an hour and more.
fuzz: FUZZTIME ?= 5m
fuzz:
	@scripts/bootstrap test
	@$(MAKE) --no-print-directory build
	@scripts/fuzz $(FUZZTIME)

bench:
	@scripts/bootstrap test
	@$(MAKE) --no-print-directory build
	@$(GO) run ./pam/bench $(BENCHFLAGS)

# install does not build, so that root's caches and root's files stay out of the work tree.
# put MODE,FILE,DESTINATION replaces a file in one step: a login in between finds the old or the new one.
define put
install -D -m $(1) $(2) $(DESTDIR)$(3).new
mv -f $(DESTDIR)$(3).new $(DESTDIR)$(3)
endef

install:
	@for file in $(BUILT); do test -f $$file || { echo "make install: there is no $$file; run make first" >&2; exit 1; }; done
	@grep -qaF '$(AUTHENTICATOR)' $(BUILD)/pam_latch.so || { \
	  echo "make install: pam_latch.so was built for another place than $(AUTHENTICATOR):" >&2; \
	  echo "run make clean and make with the same PREFIX and LIBEXECDIR" >&2; exit 1; }
	@test -n '$(PAMDIR)' || { echo "make install: pam_unix.so was not found; say PAMDIR=..." >&2; exit 1; }
	$(call put,0755,$(BUILD)/latch-auth,$(AUTHENTICATOR))
	$(call put,0755,$(PROBE),$(PROBE_PATH))
	$(call put,0644,$(BUILD)/pam_latch.so,$(PAMDIR)/pam_latch.so)
	$(call put,0755,$(BUILD)/latch,$(BINDIR)/latch)
	$(call put,0755,$(BUILD)/latch-server,$(BINDIR)/latch-server)
	for name in $(PROFILE_LINKS); do ln -sf latch $(DESTDIR)$(BINDIR)/$$name || exit 1; done
	test -e $(DESTDIR)$(SYSCONFDIR)/latch/latch.conf || \
	  install -D -m 0600 conf/latch.conf $(DESTDIR)$(SYSCONFDIR)/latch/latch.conf

# A PAM line that names a missing module refuses every login, so those lines go first.
uninstall:
	@test -n '$(DESTDIR)' || test ! -x $(BINDIR)/latch || $(BINDIR)/latch uninstall --all --yes
	@lines=$$(grep -rHE '^[^#]*pam_latch\.so' $(DESTDIR)$(SYSCONFDIR)/pam.d $(DESTDIR)$(SYSCONFDIR)/pam.conf 2>/dev/null); \
	test -z "$$lines" || { \
	  printf 'make uninstall: these lines still use pam_latch.so; remove them first (nothing was removed):\n%s\n' "$$lines" >&2; exit 1; }
	rm -f $(DESTDIR)$(PAMDIR)/pam_latch.so $(DESTDIR)$(AUTHENTICATOR) $(DESTDIR)$(PROBE_PATH)
	rm -f $(addprefix $(DESTDIR)$(BINDIR)/,latch latch-server $(PROFILE_LINKS))
	-rmdir $(DESTDIR)$(dir $(AUTHENTICATOR)) 2>/dev/null
ifdef PURGE
	rm -rf $(DESTDIR)$(SYSCONFDIR)/latch $(DESTDIR)/var/lib/latch $(DESTDIR)/run/latch
else
	@echo 'kept: $(DESTDIR)$(SYSCONFDIR)/latch and $(DESTDIR)/var/lib/latch (PURGE=1 removes them)'
endif

clean:
	rm -rf $(BUILD)
