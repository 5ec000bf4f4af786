# Longer runs of tests that `make check` does in short.
.PHONY: batch-long
batch-long: all tools
	@S=$$(mktemp -d); TOP=$(CURDIR) ETLIFT=$(CURDIR)/$B/etlift TOOLS=$(CURDIR)/$B/tools DATA= SCRATCH=$$S BATCH_IMAGES=200 BATCH_KILLS=10 \
	    bash tests/sys/80-batch.sh && echo "batch of 200 images, killed ten times: the same bytes"; s=$$?; rm -rf $$S; exit $$s
