import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.SessionStore;

/**
 * Session windows as the guide of Kafka Streams writes them: grouped by key, counted, given out when the window closes.
 *
 * <p>Arguments: BROKERS TOPIC SESSIONS RECORDS FOUND FOLDER. The default store, RocksDB with a changelog on Kafka; the
 * promise is at least once. The store in memory is far slower here: for each event it looks through all open sessions.
 */
public final class Sessions {
  private static final Duration GAP = Duration.ofMinutes(30);
  private static final Duration LATENESS = Duration.ofMinutes(10);
  private static final Duration RETENTION = Duration.ofHours(5);
  private static final String LAST_VISITOR = "last-of-a-partition";

  /** The part of an event that a session is made of. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Event(@JsonProperty("occurred_at") String occurredAt) {}

  private static long left;
  private static BufferedWriter out;

  private static synchronized void write(Windowed<String> key, Long events) {
    if (key.key().startsWith(LAST_VISITOR)) {
      return;
    }
    try {
      out.write(key.key() + "," + key.window().start() + "," + key.window().end() + "," + events + "\n");
      if (--left == 0) {
        out.close();
        System.out.println("ended\nwritten");
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  public static void main(String[] arguments) throws Exception {
    left = Long.parseLong(arguments[2]);
    out = Files.newBufferedWriter(Path.of(arguments[4]));

    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "kafka-streams-" + ProcessHandle.current().pid());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[5]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    // Closed windows are given out when a record comes, at most once in this time. By default that is a second, and those
    // that the last record closes would wait for one that does not come. It costs no more CPU (measured).
    settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION, 0L);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128 * 1024 * 1024);
    settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 * 1024 * 1024);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 * 1024);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);

    ObjectReader reader = new ObjectMapper().readerFor(Event.class);
    Deserializer<Long> time =
        (topic, bytes) -> {
          try {
            Event event = reader.readValue(bytes);
            return Instant.parse(event.occurredAt()).toEpochMilli();
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        };
    Serializer<Long> unused =
        (topic, value) -> {
          throw new UnsupportedOperationException("events are only read");
        };
    Serde<Long> times = Serdes.serdeFrom(unused, time);

    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(
            arguments[1],
            Consumed.with(Serdes.String(), times)
                .withTimestampExtractor((record, partitionTime) -> (Long) record.value()))
        .groupByKey(Grouped.with(Serdes.String(), times))
        .windowedBy(SessionWindows.ofInactivityGapAndGrace(GAP, LATENESS))
        .emitStrategy(EmitStrategy.onWindowClose())
        // What ends longer ago than this is dropped, closed or not; the last events are three hours after all others.
        .count(
            Materialized.<String, Long, SessionStore<Bytes, byte[]>>with(Serdes.String(), Serdes.Long())
                .withRetention(RETENTION))
        .toStream()
        .foreach(Sessions::write);

    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setStateListener(
        (now, before) -> {
          if (now == KafkaStreams.State.RUNNING) {
            System.out.println("begun");
          }
        });
    streams.start();
  }
}
