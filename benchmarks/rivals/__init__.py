"""Other ways to do the jobs of ``flow_jobs``, each as its documentation teaches: ``run(job, source, target)``."""
