"""The pages that customers and on-call engineers read: server-rendered, live where a script may run."""
