import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;

/**
 * Session windows as the guide of Flink SQL writes them: a Kafka table with a watermark, the SESSION table function.
 *
 * <p>Arguments: BROKERS TOPIC SESSIONS RECORDS FOUND FOLDER. All of Flink is in this process; two slots, checkpoints
 * every second as our worker's, state on the heap.
 */
public final class Sessions {
  private static final String LAST_VISITOR = "last-of-a-partition";
  private static long left;
  private static BufferedWriter out;

  private static synchronized void write(Row row) throws IOException {
    String visitor = row.getFieldAs(0);
    if (visitor.startsWith(LAST_VISITOR)) {
      return;
    }
    long first = row.<Instant>getFieldAs(1).toEpochMilli();
    long last = row.<Instant>getFieldAs(2).toEpochMilli();
    out.write(visitor + "," + first + "," + last + "," + row.<Long>getFieldAs(3) + "\n");
    if (--left == 0) {
      out.close();
      System.out.println("ended\nwritten");
    }
  }

  public static void main(String[] arguments) throws Exception {
    left = Long.parseLong(arguments[2]);
    out = Files.newBufferedWriter(Path.of(arguments[4]));

    Configuration settings = new Configuration();
    settings.setString("execution.checkpointing.interval", "1 s");
    settings.setString("execution.checkpointing.dir", Path.of(arguments[5]).toUri().toString());
    settings.setString("state.backend.type", "hashmap");
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("table.exec.mini-batch.enabled", "true");
    settings.setString("table.exec.mini-batch.allow-latency", "1 s");
    settings.setString("table.exec.mini-batch.size", "10000");
    StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(settings);
    environment.setParallelism(2);
    StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
    tables.executeSql(
        "create table events (visitor_id string, occurred_at timestamp_ltz(3),"
            + " watermark for occurred_at as occurred_at - interval '10' minute)"
            + " with ('connector' = 'kafka', 'topic' = '" + arguments[1] + "',"
            + " 'properties.bootstrap.servers' = '" + arguments[0] + "',"
            + " 'properties.max.partition.fetch.bytes' = '4194304',"
            + " 'properties.max.poll.records' = '10000',"
            + " 'scan.startup.mode' = 'earliest-offset', 'format' = 'json',"
            + " 'json.timestamp-format.standard' = 'ISO-8601')");
    Table sessions =
        tables.sqlQuery(
            "select visitor_id, min(occurred_at), max(occurred_at), count(*)"
                + " from table(session(table events partition by visitor_id, descriptor(occurred_at),"
                + " interval '30' minute))"
                + " group by visitor_id, window_start, window_end");
    tables
        .toDataStream(sessions)
        .map(
            row -> {
              write(row);
              return 0;
            })
        .sinkTo(new DiscardingSink<>());
    JobClient job = environment.executeAsync("sessions");
    while (job.getJobStatus().get() != JobStatus.RUNNING) {
      Thread.sleep(10);
    }
    System.out.println("begun");
    job.getJobExecutionResult().get();
  }
}
