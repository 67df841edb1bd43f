# Latch for Linux. `make` builds, `make demo` shows, `make test` proves, `sudo make install` copies, `make deb` and `make rpm` pack.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
DATADIR    ?= $(PREFIX)/share
MANDIR     ?= $(DATADIR)/man
BASHDIR    ?= $(DATADIR)/bash-completion/completions
ZSHDIR     ?= $(DATADIR)/zsh/site-functions
FISHDIR    ?= $(DATADIR)/fish/vendor_completions.d
# systemd looks here under /usr and under /usr/local.
SYSTEMDDIR ?= $(PREFIX)/lib/systemd
UNITDIR    ?= $(SYSTEMDDIR)/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
VERSION    ?= $(shell cat VERSION)
BUILD      := build

# What the manual pages and the packages say of their age: when the version was set. Seconds since 1970.
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct -- VERSION 2>/dev/null),$(shell stat -c %Y VERSION))
export SOURCE_DATE_EPOCH

# The module runs this program and no other; distributions set LIBEXECDIR.
AUTHENTICATOR ?= $(LIBEXECDIR)/latch/latch-auth
# latch install tries a service file with it before a login does.
PROBE_PATH    ?= $(LIBEXECDIR)/latch/latch-probe

CC       ?= cc
CFLAGS   ?= -O2 -g
C_STRICT := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes \
            -fPIC -fvisibility=hidden -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$(CURDIR)=.
# nodelete: libpam unloads modules when PAM_SERVICE changes, but keeps the delay function that we set.
C_LINK   := -shared -Wl,--version-script=pam/pam_latch.map -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete
C_FILES  := $(wildcard pam/*.c)

GO         ?= go
GO_LDFLAGS  = -s -w -X github.com/latch-linux/latch/pkg/version.version=$(VERSION) -X main.probe=$(PROBE_PATH) -X main.authenticator=$(AUTHENTICATOR) -X main.moduleDir=$(PAMDIR)
# GO_TARGET is what another machine needs, as GOARCH=arm64.
GO_BUILD    = $(GO_TARGET) CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(GO_LDFLAGS)'
# What is compiled in: the server's pages, and the schema of its database.
EMBEDDED   := $(shell find pkg/server/pages/messages pkg/server/pages/static pkg/server/pages/templates pkg/server/store/migrations -type f)
GO_FILES   := $(shell find cmd pkg -name '*.go' -o -path '*/testdata' -prune -false) $(EMBEDDED) go.mod go.sum VERSION

PROGRAMS := $(BUILD)/latch-auth $(BUILD)/latch $(BUILD)/latch-server
PROBE    := $(BUILD)/latch-probe
UNITS    := $(patsubst conf/systemd/%,$(BUILD)/systemd/%,$(wildcard conf/systemd/*))
DOCS     := $(BUILD)/docs/made
# SELINUX=1 adds our policy module, which takes checkmodule to build; nothing here loads it.
POLICY   := $(BUILD)/selinux/latch.pp
BUILT    := $(BUILD)/pam_latch.so $(PROGRAMS) $(PROBE) $(UNITS) $(DOCS) $(if $(SELINUX),$(POLICY))

# libpam looks for modules where this system keeps pam_unix.so; the compiler's own architecture comes first.
ARCH_DIR := $(shell $(CC) -print-multiarch 2>/dev/null)
PAM_UNIX := $(firstword $(wildcard $(foreach dir,\
              $(if $(ARCH_DIR),/usr/lib/$(ARCH_DIR) /lib/$(ARCH_DIR)) /usr/lib64 /lib64 /usr/lib /lib,\
              $(dir)/security/pam_unix.so)))
PAMDIR   ?= $(patsubst %/,%,$(dir $(PAM_UNIX)))

PROFILE_LINKS := pairSYS unpairSYS pairOVPN unpairOVPN

# What is built holds these, so a change of one builds anew, and make install with others refuses.
PLACES := AUTHENTICATOR=$(AUTHENTICATOR) PROBE_PATH=$(PROBE_PATH) PAMDIR=$(PAMDIR) BINDIR=$(BINDIR) VERSION=$(VERSION)
SAME_PLACES = echo '$(PLACES)' | cmp -s - $(BUILD)/places
ifeq ($(filter install uninstall deb rpm clean,$(MAKECMDGOALS)),)
$(shell $(SAME_PLACES) || { mkdir -p $(BUILD) && echo '$(PLACES)' >$(BUILD)/places; })
endif

.PHONY: all build demo test test-short test-all fuzz bench install uninstall deb rpm clean vulnerabilities
all: build

build: $(BUILT)

$(BUILD)/pam_latch.so: $(C_FILES) $(wildcard pam/*.h) pam/pam_latch.map Makefile $(BUILD)/places
	@mkdir -p $(BUILD)
	$(CC) $(C_STRICT) $(CFLAGS) -DLATCH_AUTHENTICATOR='"$(AUTHENTICATOR)"' -o $@ $(C_FILES) $(C_LINK) $(LDFLAGS) -lpam

$(PROGRAMS): $(BUILD)/%: $(GO_FILES) $(BUILD)/places
	@mkdir -p $(BUILD)
	$(GO_BUILD) -o $@ ./cmd/$*

# libpam can only be had through cgo.
$(PROBE): $(GO_FILES) $(BUILD)/places
	@mkdir -p $(BUILD)
	$(GO_TARGET) CC='$(CC)' CGO_ENABLED=1 $(GO) build -trimpath -buildvcs=false -buildmode=pie -ldflags '$(GO_LDFLAGS) -extldflags "-Wl,-z,relro,-z,now"' -o $@ ./cmd/latch-probe

# The texts of --help as manual pages and completions, beside the pages that are written by hand.
GO_MANUAL = CGO_ENABLED=0 $(GO) run -trimpath -tags manual -ldflags '$(GO_LDFLAGS)'
$(DOCS): $(GO_FILES) $(wildcard docs/man/*) conf/latch.conf $(BUILD)/places
	@rm -rf $(BUILD)/docs && mkdir -p $(BUILD)/docs
	$(GO_MANUAL) ./cmd/latch $(BUILD)/docs
	$(GO_MANUAL) ./cmd/latch-server $(BUILD)/docs
	@for page in docs/man/*; do \
	  sed -e "s/@DATE@/$$(date -u -d @$(SOURCE_DATE_EPOCH) +%F)/; s/@VERSION@/$(VERSION)/; s|@AUTHENTICATOR@|$(AUTHENTICATOR)|" \
	    -e "s/@ACCOUNT_SKIP@/$$(sed -n 's/^#account_skip_services = //p' conf/latch.conf | sed 's/-/\\\\-/g')/" \
	    $$page >$(BUILD)/docs/$${page##*/} || exit 1; \
	done
	@touch $@

$(UNITS): $(BUILD)/systemd/%: conf/systemd/% $(BUILD)/places
	@mkdir -p $(BUILD)/systemd
	@sed 's|@BINDIR@|$(BINDIR)|' $< >$@

$(POLICY): $(wildcard conf/selinux/*)
	@mkdir -p $(BUILD)/selinux
	checkmodule -M -m -o $(BUILD)/selinux/latch.mod conf/selinux/latch.te
	semodule_package -o $@ -m $(BUILD)/selinux/latch.mod -f conf/selinux/latch.fc

demo:
	@scripts/bootstrap demo
	@$(MAKE) -q build || echo "Building; the first time takes a minute or two ..."
	@$(MAKE) --no-print-directory -s build
	@$(GO) run -buildvcs=false ./e2e/demo

test:
	@scripts/bootstrap test
	@scripts/test

# Unit tests, go vet and gofmt: under a minute.
test-short:
	@scripts/bootstrap short
	@scripts/test --short

# Every combination where make test tries a sample.
test-all:
	@scripts/bootstrap test
	@scripts/test --all

# Each target for FUZZTIME, one after the other: an hour and more.
fuzz: FUZZTIME ?= 5m
fuzz:
	@scripts/bootstrap test
	@$(MAKE) --no-print-directory build
	@scripts/fuzz $(FUZZTIME)

# Known vulnerabilities in what the programs call; asks a database on the internet.
vulnerabilities:
	@$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

bench:
	@scripts/bootstrap test
	@$(MAKE) --no-print-directory build
	@$(GO) run -buildvcs=false ./e2e/bench $(BENCHFLAGS)

# install does not build, so that root's caches and root's files stay out of the work tree. It says what it changes.
# MODE:FILE:DESTINATION of everything that is not named for a command; the authenticator comes before the module that runs it.
FILES := \
  0755:$(BUILD)/latch-auth:$(AUTHENTICATOR) \
  0755:$(PROBE):$(PROBE_PATH) \
  0644:$(BUILD)/pam_latch.so:$(PAMDIR)/pam_latch.so \
  0755:$(BUILD)/latch:$(BINDIR)/latch \
  0755:$(BUILD)/latch-server:$(BINDIR)/latch-server \
  0644:$(BUILD)/docs/latch.conf.5:$(MANDIR)/man5/latch.conf.5 \
  0644:$(BUILD)/docs/pam_latch.8:$(MANDIR)/man8/pam_latch.8 \
  $(foreach name,latch latch-server,\
    0644:$(BUILD)/docs/bash/$(name):$(BASHDIR)/$(name) \
    0644:$(BUILD)/docs/zsh/_$(name):$(ZSHDIR)/_$(name) \
    0644:$(BUILD)/docs/fish/$(name).fish:$(FISHDIR)/$(name).fish) \
  $(foreach unit,latch-server.service latch-doctor.service latch-doctor.timer,\
    0644:$(BUILD)/systemd/$(unit):$(UNITDIR)/$(unit)) \
  0644:$(BUILD)/systemd/latch-server.sysusers:$(SYSUSERSDIR)/latch-server.conf \
  0644:$(BUILD)/systemd/latch.tmpfiles:$(TMPFILESDIR)/latch.conf
POLICY_FILE := 0644:$(POLICY):$(DATADIR)/selinux/packages/latch.pp
# TARGET:LINK; the daily timer is on wherever it is installed.
LINKS := $(PROFILE_LINKS:%=latch:$(BINDIR)/%) \
  $(foreach name,$(PROFILE_LINKS),latch-$(patsubst %OVPN,%,$(name:SYS=)).1:$(MANDIR)/man1/$(name).1) \
  ../latch-doctor.timer:$(UNITDIR)/timers.target.wants/latch-doctor.timer

# The shell splits an entry of these lists.
from = $${entry%:*}
to   = $(DESTDIR)$${entry\#\#*:}

# Only where systemd runs, and never for a package that is being made.
SYSTEMCTL = test -n '$(DESTDIR)' || test ! -d /run/systemd/system || systemctl

install:
	@for file in $(BUILT); do test -f $$file || { echo "make install: there is no $$file; run make first" >&2; exit 1; }; done
	@$(SAME_PLACES) || { echo "make install: what is in $(BUILD) was built for other places:" >&2; \
	  printf 'built: %s\nasked: %s\nrun make with the same variables first\n' "$$(cat $(BUILD)/places)" '$(PLACES)' >&2; exit 1; }
	@test -n '$(PAMDIR)' || { echo "make install: pam_unix.so was not found; say PAMDIR=..." >&2; exit 1; }
	@set -e; for entry in $(FILES) $(if $(SELINUX),$(POLICY_FILE)); do mode=$(from); scripts/put $${mode%%:*} $${mode#*:} $(to); done
	@set -e; for page in $(BUILD)/docs/man1/*.1; do scripts/put 0644 $$page $(DESTDIR)$(MANDIR)/man1/$${page##*/}; done
	@set -e; for entry in $(LINKS); do scripts/put link $(from) $(to); done
	@test -e $(DESTDIR)$(SYSCONFDIR)/latch/latch.conf || scripts/put 0600 conf/latch.conf $(DESTDIR)$(SYSCONFDIR)/latch/latch.conf
	@test -n '$(DESTDIR)' || $(BINDIR)/latch otp key --create || :
	@$(SYSTEMCTL) daemon-reload

# A PAM line that names a missing module refuses every login, so those lines go first. Those of other directories than
# pam.d are not for latch uninstall to change; with DESTDIR none is.
STANDING := printf 'make uninstall: these lines still use pam_latch.so; take them out first (no file was removed):\n%s\n'
uninstall:
	@lines=$$(scripts/standing $(addprefix $(DESTDIR),/usr/lib/pam.d /usr/etc/pam.d $(SYSCONFDIR)/pam.conf)); \
	  test -z "$$lines" || { $(STANDING) "$$lines" >&2; exit 1; }
	@test -n '$(DESTDIR)' || test ! -x $(BINDIR)/latch || $(BINDIR)/latch uninstall --all --yes
	@lines=$$(scripts/standing $(DESTDIR)$(SYSCONFDIR)/pam.d); \
	  test -z "$$lines" || { $(STANDING) "$$lines" >&2; exit 1; }
	@$(SYSTEMCTL) disable --now latch-server.service latch-doctor.timer || :
	@for entry in $(FILES) $(POLICY_FILE) $(LINKS); do rm -f $(to); done
	@rm -f $(DESTDIR)$(MANDIR)/man1/latch.1 $(DESTDIR)$(MANDIR)/man1/latch-*.1
	@rmdir $(DESTDIR)$(dir $(AUTHENTICATOR)) $(DESTDIR)$(UNITDIR)/timers.target.wants 2>/dev/null || :
	@$(SYSTEMCTL) daemon-reload
ifdef PURGE
	rm -rf $(DESTDIR)$(SYSCONFDIR)/latch $(DESTDIR)/var/lib/latch $(DESTDIR)/run/latch
else
	@echo 'kept: $(DESTDIR)$(SYSCONFDIR)/latch and $(DESTDIR)/var/lib/latch (PURGE=1 removes them)'
endif

# The packages of Debian and of Fedora, for this machine's architecture or for another: make deb ARCH=arm64
ARCH     ?= $(shell $(GO) env GOHOSTARCH)
PACKAGES := $(BUILD)/packages
deb rpm:
	@scripts/stage $@ $(ARCH) $(VERSION)
	@scripts/pack $@ $(ARCH) $(VERSION) $(PACKAGES)

clean:
	rm -rf $(BUILD)
